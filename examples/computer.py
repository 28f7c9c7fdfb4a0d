"""A computer for the agent: shell commands in a bubblewrap box of their own. Runs until Ctrl-C.

    python examples/computer.py --folder work
    rlmd chat -m '/py from channels import computer
    > print(await computer.shell("ls -l"))'

A command sees the system's programs and libraries, read-only, and one folder, which it may write; no other
files, no network (but with --network), no environment, no other processes. Without bubblewrap this refuses
to run, unless you say --no-box: then commands can do all that you can.

What a command prints is text from outside: a program that has read it asks you before the next command,
unless you have said `rlmd permit add computer.shell`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import rlmd

MOST = 100_000
"""Bytes of output that a program gets: the last ones."""
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache")


def box(folder: Path, *, network: bool) -> list[str]:
    """What is put in front of a command, so that it runs in a box."""
    wall = shutil.which("bwrap")
    if wall is None:
        sys.exit("There is no bubblewrap here. Install it (apt install bubblewrap), or say --no-box.")
    command = [wall, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    if network:
        command += ["--share-net", "--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf"]
        command += ["--ro-bind-try", "/etc/ssl", "/etc/ssl"]
    for path in SYSTEM:
        command += ["--ro-bind-try", path, path]
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--setenv", "PATH", os.defpath]
    command += ["--bind", str(folder), "/work", "--chdir", "/work", "--"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        sys.exit(
            "bubblewrap is installed, but the system does not let it work. See its manual, or say --no-box."
        )
    return command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("computer"), help="which commands may write")
    parser.add_argument("--network", action="store_true", help="let commands reach the network")
    parser.add_argument("--no-box", action="store_true", help="run commands with all rights that you have")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    front = [] if options.no_box else box(folder, network=options.network)

    with rlmd.connect() as client, client.channel("computer") as channel:

        @channel.function(time_limit=3600)
        def shell(command: str, seconds: float = 60) -> dict[str, int | str]:
            """Run a shell command in the working folder; gives its status and its output.

            It is ended after some seconds, with status 124.
            """
            print(f"$ {command}", flush=True)
            # All that it starts ends with it: the box is a group of processes, and so is a bare shell.
            running = subprocess.Popen(
                [*front, "sh", "-c", command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            late = threading.Timer(seconds, os.killpg, (running.pid, signal.SIGKILL))
            end = time.monotonic() + seconds
            late.start()
            output = b""
            with running:
                assert running.stdout is not None
                while part := running.stdout.read(10_000):
                    output = (output + part)[-MOST:]
            late.cancel()
            status = 124 if time.monotonic() >= end else running.returncode
            return {"status": status, "output": output.decode(errors="replace")}

        channel.start()
        where = "in a box" if front else "WITHOUT A BOX: they can do all that you can"
        print(f"commands run in {folder}, {where}", flush=True)
        channel.serve()


if __name__ == "__main__":
    main()
