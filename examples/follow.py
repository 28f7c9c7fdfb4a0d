"""Say something to an agent and follow, call by call, what it does about it.

rlmd up --detach
python examples/follow.py "Bob lives in Berlin"
"""

from __future__ import annotations

import sys

import rlmd
from rlmd import updates


def main(text: str) -> None:
    with rlmd.connect() as client:
        for update in client.agent("main").stream(text):
            match update:
                case updates.Stepped():
                    print(f"step {update.step.number}: {len(update.step.code.splitlines())} lines of code")
                case updates.Called():
                    print(f"  call {update.call.number}: {update.call.function}")
                case updates.Said():
                    print(f"it says: {update.text}")
                case updates.Ended():
                    print(f"run {update.run} is {update.state}")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "Bob lives in Berlin")
