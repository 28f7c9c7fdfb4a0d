"""The line on which a person writes: editing, history, and more than one line where it is wanted."""

from __future__ import annotations

import os
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent


class Lines:
    """Reads messages from a terminal and remembers them in a file that only its owner can read."""

    def __init__(self, history: Path) -> None:
        os.close(os.open(history, os.O_RDWR | os.O_CREAT, 0o600))
        self._session: PromptSession[str] = PromptSession(
            history=FileHistory(str(history)),
            key_bindings=_keys(),
            multiline=True,
            enable_open_in_editor=True,
        )

    def read(self, prompt: str) -> str:
        """The next message.

        Raises:
            EOFError: Ctrl-D on an empty line.
            KeyboardInterrupt: Ctrl-C.
        """
        return self._session.prompt(prompt, prompt_continuation="… ")


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
