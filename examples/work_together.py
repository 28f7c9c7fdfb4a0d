"""Two agents in a hive: one asks the other, and both write to what they share.

rlmd up --detach
python examples/work_together.py
"""

from __future__ import annotations

from pathlib import Path

import rlmd

ROLES = Path(__file__).parent / "roles"
PROGRAM = """/py
from hive import researcher
answer = await researcher.ask("Where does Ann live?")
memory.append("@works/answers", answer + "\\n")
reply(answer)
"""


def team(client: rlmd.Client) -> None:
    """A hive `works` with a planner and a researcher, if there is none yet."""
    if "works" in [hive.name for hive in client.hives.list()]:
        return
    client.hives.create("works")
    for role in ("planner", "researcher"):
        client.create_agent(role, instructions=(ROLES / f"{role}.md").read_text())
        client.hives.join("works", role)


with rlmd.connect() as client:
    team(client)
    client.agent("researcher").chat("Ann lives in Bern")
    print("the planner has heard:", client.agent("planner").chat(PROGRAM).text)
    for member in client.hives.get("works").members:
        print(f"{member.name}: {member.about}")
