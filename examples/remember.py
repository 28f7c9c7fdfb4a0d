"""Keep something, change it, look at its past, take the change back, find it again.

rlmd up --detach
python examples/remember.py
"""

from __future__ import annotations

import rlmd


def main() -> None:
    with rlmd.connect() as client:
        memory = client.agent("main").memory

        memory.set("trips/bern", {"days": 2, "with": ["Ann"]}, note="first idea")
        memory.set("trips/bern", {"days": 3, "with": ["Ann", "Bob"]}, note="Bob comes along")
        for version in memory.history("trips/bern"):
            print(f"version {version}: {version.note}")
        print(memory.diff("trips/bern", 1, 2))

        memory.revert("trips/bern", 1, note="Bob is ill")
        print("now:", memory.get("trips/bern"))
        print("before that:", memory.get("trips/bern", version=2))

        memory.append("journal", "Ann wants to see the bears in Bern.\n")
        best = memory.search("which animals does Ann want to see?", k=1)[0]
        print(f"found in {best.name}: {best.text.strip()}")


if __name__ == "__main__":
    main()
