"""Programs of models that do not know the sandbox: they run, or are told what leads to a right next one.

The folder that the environment variable `RLMD_PROGRAMS` names may hold more of them; each must run to the
end of its step or be refused with a hint.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import rlmd
from rlmd.clients.records import RunInfo
from tests.daemon_process import DaemonProcess
from tests.model_server import ModelServer

from .runner import py

FOLDER = os.environ.get("RLMD_PROGRAMS", "")
FOREIGN = sorted(Path(FOLDER).glob("*.py")) if FOLDER else []


@dataclass(frozen=True, kw_only=True)
class Program:
    """A first step, what memory holds before, and what must come of it."""

    name: str
    code: str
    memory: Mapping[str, Any] = field(default_factory=dict)
    sub: str = "gist"
    """What the sub-model answers."""
    result: Any = None
    """What `done` gave, if it ran to the end."""
    hints: tuple[str, ...] = ()
    """If it is refused: what the observation says."""


PROGRAMS = (
    Program(
        name="a correction",
        memory={"people/eve": {"city": "Ulm"}},
        code="""
            eve = memory.get("people/eve") or {}
            eve.setdefault("before", []).append(eve.get("city"))
            eve["city"] = "Bonn"
            v = memory.set("people/eve", eve, note=f"moved, says {event.sender}")
            done([v.version, memory.get("people/eve")])
        """,
        result=[2, {"before": ["Ulm"], "city": "Bonn"}],
    ),
    Program(
        name="medians per month",
        memory={"runs": [{"day": "2026-01-03", "km": 4}, {"day": "2026-01-09", "km": 8}]},
        code="""
            from collections import defaultdict
            from datetime import date
            import statistics
            months = defaultdict(list)
            for r in memory.get("runs"):
                months[date.fromisoformat(r["day"]).strftime("%Y-%m")].append(r["km"])
            done({m: statistics.median(v) for m, v in sorted(months.items())})
        """,
        result={"2026-01": 6.0},
    ),
    Program(
        name="names that are nearly right",
        memory={"crew": ["Ingrid Solberg", "Tomas Reyes"]},
        code="""
            from difflib import get_close_matches
            done(get_close_matches("Ingrit Solberg", memory.get("crew"), n=1, cutoff=0.8))
        """,
        result=["Ingrid Solberg"],
    ),
    Program(
        name="records with properties",
        code="""
            from dataclasses import dataclass, asdict
            @dataclass
            class Lap:
                metres: int
                seconds: float
                @property
                def pace(self):
                    return self.seconds / self.metres
            memory.set("lap", asdict(Lap(400, 90.0)))
        """,
        hints=("Build the dict yourself", "Write a plain method"),
    ),
    Program(
        name="a change that expects a version",
        memory={"list": ["a"]},
        code="""
            for attempt in range(3):
                expect = memory.version("list") + (1 if attempt == 0 else 0)
                try:
                    memory.set("list", memory.get("list") + ["b"], expect=expect)
                    break
                except RuntimeError as error:
                    print(error)
            done([attempt, memory.get("list")])
        """,
        result=[1, ["a", "b"]],
    ),
    Program(
        name="facts of a day as JSON from a model",
        sub='Here you are: [{"name": "people/kim", "fact": "Kim rows."}]',
        code="""
            import json, re
            said = "\\n".join(f"{m.time:%H:%M} {m.sender}: {m.text}" for m in log.recent(50))
            answer = await llm("List durable facts as JSON.", said)
            for fact in json.loads(re.search(r"\\[.*\\]", answer, re.DOTALL).group(0)):
                memory.append(fact["name"], fact["fact"])
            done(memory.get("people/kim"))
        """,
        result="Kim rows.",
    ),
    Program(
        name="ten megabytes in parts",
        memory={"book": "All work and no play.\n" * 480_000},
        code="""
            size, part = memory.size("book"), 500_000
            async def gist(at):
                return await llm("In one line:", memory.slice("book", at, min(at + part, size)))
            done([size, len(await asyncio.gather(*[gist(at) for at in range(0, size, part)]))])
        """,
        result=[10_560_000, 22],
    ),
    Program(
        name="generators and dates in JSON",
        code="""
            import json
            def pairs(items):
                for a in items:
                    yield a, json.dumps({"t": event.time}, default=str)
        """,
        hints=("Build a list", "Turn dates and records into JSON"),
    ),
    Program(
        name="other people and later",
        code="""
            from channels import bob
            schedule.after("20m", "ask bob")
        """,
        hints=("there is no channel bob. There are: chat",),
    ),
    Program(
        name="what is shared", code="memory.append('@club/plan', 'row')", hints=("is in no hive 'club'",)
    ),
)


def carry_out(program: Program, house: DaemonProcess, mind: ModelServer) -> RunInfo:
    """The run of an agent whose model's first step is the program, and whose second is plain words."""
    name = "program-" + "".join(c if c.isalnum() else "-" for c in program.name.lower())
    mind.script([py(program.code), "That was it."], model=name)
    mind.always(program.sub, model=f"{name}-sub")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent(name, model=name, sub_model=f"{name}-sub")
        for variable, value in program.memory.items():
            agent.memory.set(variable, value)
        run = agent.send("Go on.")
        run.wait()
        return run.get()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_runs_or_is_told_how(program: Program, house: DaemonProcess, mind: ModelServer) -> None:
    run = carry_out(program, house, mind)
    shown = run.steps[0].observation
    if program.hints:
        assert "step 1: error" in shown
        assert not [hint for hint in program.hints if hint not in shown], shown
    else:
        assert run.result == program.result, shown


WORLD = {
    "people/bob": {"employer": "Siemens"},
    "inbox/report.txt": "A line of a report with a number, 17.\n" * 270_000,
    "expenses": [{"date": f"2026-0{1 + n % 3}-1{n % 10}", "amount": n} for n in range(30)],
    "contacts": ["John Smith", "Catherine Jones", "Alice Miller"],
    "notes/a": "The shop is open on Monday.",
    "notes/b": "The shop is closed on Monday.",
}


@pytest.mark.skipif(not FOREIGN, reason="RLMD_PROGRAMS names no folder of programs")
@pytest.mark.parametrize("file", FOREIGN, ids=lambda file: file.stem)
def test_a_foreign_program_runs_or_is_told_how(file: Path, house: DaemonProcess, mind: ModelServer) -> None:
    shown = carry_out(Program(name=file.stem, code=file.read_text(), memory=WORLD), house, mind)
    observation = shown.steps[0].observation
    assert "step 1: ok" in observation or "Hint: " in observation, observation
