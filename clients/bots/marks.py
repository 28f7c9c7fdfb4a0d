"""How far each person's messages are handled: a file, for messengers that do not keep this themselves."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rlmd.errors import InternalError


class Marks:
    """The id of the last message of each person that the daemon has."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._marks: dict[str, int] = {
                str(id): int(mark) for id, mark in json.loads(file.read_text()).items()
            }
        except FileNotFoundError:
            self._marks = {}
        except (ValueError, TypeError, AttributeError) as exc:
            remedy = "Move it away; what was said while no bot ran is then not heard."
            raise InternalError(f"{file} is damaged: {exc}.", remedy=remedy) from exc

    def get(self, person: str) -> int | None:
        """None if nothing is known."""
        return self._marks.get(person)

    def set(self, person: str, mark: int) -> None:
        """All up to this message is handled."""
        self._marks[person] = mark
        new = self._file.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(self._marks, file)
        new.replace(self._file)
