"""A second wall around the sandbox: its workers run under bubblewrap where that is installed and works.

Inside there is the interpreter's binary and the system's libraries, read-only, and nothing else: no
files, no network, no other processes, no environment. A fault in the interpreter then meets an empty
room. It costs some milliseconds a worker. In many containers the kernel does not allow it; then the
sandbox stands alone, and the daemon's log says so.

With or without the wall, the kernel ends a worker when its daemon ends, however that came about: a worker
that computes would not look up before its step's limit, a minute later.
"""

from __future__ import annotations

import logging
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_PROBE_SECONDS = 10.0


class Jail:
    """The program that starts a worker inside. `close` it when the last worker has ended."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is where the program is kept; without one, in a temporary folder."""
        self._temporary = folder is None
        self._folder = folder
        self.confined = False
        """Whether the program locks workers in; else it only ends them with the daemon."""
        self.program = self._made()
        """To be run in place of the interpreter's binary; None if nothing can be put around it."""

    def close(self) -> None:
        if self._temporary and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _made(self) -> Path | None:
        wall, binary, leash = shutil.which("bwrap"), _interpreter(), shutil.which("setpriv")
        if binary is None or not (wall or leash):
            return None
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rlmd-jail-"))
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if wall is not None:
            program = self._written(_command(wall, binary))
            if _works(program):
                self.confined = True
                return program
            log.info("bubblewrap is installed, but the system does not let it work: workers run without it")
        if leash is not None:
            program = self._written([leash, "--pdeathsig", "KILL", str(binary)])
            if _works(program):
                return program
        self.close()
        return None

    def _written(self, command: list[str]) -> Path:
        assert self._folder is not None
        program = self._folder / "worker"
        program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
        program.chmod(0o700)
        return program


def _interpreter() -> Path | None:
    installed = Path(sysconfig.get_path("scripts")) / "monty"
    found = str(installed) if installed.is_file() else shutil.which("monty")
    return Path(found) if found else None


def _command(wall: str, binary: Path) -> list[str]:
    command = [
        wall, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL",
        "--ro-bind", str(binary), "/worker",
    ]  # fmt: skip
    for folder in _LIBRARIES:
        if Path(folder).is_dir():
            command += ["--ro-bind", folder, folder]
    return [*command, "--dev", "/dev", "--chdir", "/", "--", "/worker"]


def _works(program: Path) -> bool:
    try:
        subprocess.run([program, "--version"], capture_output=True, timeout=_PROBE_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True
