"""Watches a folder, and tells the agent of each text that is put there or changed. Runs until Ctrl-C.

    python examples/watcher.py inbox
    echo "Buy bread." > inbox/list.txt

The text goes to the agent's memory, as `inbox/list.txt`, and a message wakes it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import rlmd

SECONDS = 0.2
"""Between looks at the folder."""


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "inbox")
    folder.mkdir(exist_ok=True)
    with rlmd.connect() as client, client.channel("watcher") as channel:
        memory = client.agent("main").memory
        channel.start()
        print(f"watching {folder}", flush=True)
        seen: dict[Path, int] = {}
        while True:
            for path in sorted(folder.glob("*.txt")):
                changed = path.stat().st_mtime_ns
                if seen.get(path) == changed:
                    continue
                name = f"inbox/{path.name}"
                version = memory.set(name, path.read_text(errors="replace"), note=f"from {folder}")
                # The same change is told once, even if this program is stopped and started again.
                channel.say(f"{name} has changed", request_id=f"watcher-{path.name}-{changed}")
                print(f"{name} is at version {version}", flush=True)
                seen[path] = changed
            time.sleep(SECONDS)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("no longer watching")
