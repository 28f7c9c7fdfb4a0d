"""Random programs of an agent, each from a number: the same number always gives the same program.

What a program does hangs on nothing but the answers that it gets: it keeps what it draws and reads off the
clock in memory, and looks later whether that is still what it has in its names. So every way through
crashes and waiting must leave the same world behind.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

from rlmd.daemon.models.api import Usage
from tests.model_server import Item, Slow, Status, Text

from .runner import py

NOBODY = "nobody: "
"""How a question begins that nobody answers."""
_CHILD = "child of seed "
_SPENT = Usage(input_tokens=100, output_tokens=10)


LONG, SHORT = (7_200, 3 * 86_400), (2.2, 2.4)
"""Seconds for which a program waits that is parked: where the clock can be put on, and where not."""


def steps(seed: int, *, depth: int = 1, waits: Sequence[float] = LONG) -> list[str]:
    """The code of each step of a run; at `depth` 0 it makes no children."""
    # Children are at work at the same time: each has names of its own.
    return _Writer(random.Random(seed), depth, "" if depth else f"c{seed}/", waits).steps()


def answers(seed: int, *, waits: Sequence[float] = LONG) -> Callable[[dict[str, Any]], Item]:
    """The model of a run of this program, of its children, and of its sub-calls."""

    def answer(body: dict[str, Any]) -> Item:
        messages = body["messages"]
        system, card = messages[0]["content"], messages[1]["content"]
        if system.startswith("This is a sub-call"):
            return _sub_call(card)
        number = (len(messages) - 2) // 2
        if system.startswith("You are a child"):
            inner = int(card.rpartition(_CHILD)[2].split()[0])
            code = steps(inner, depth=0, waits=waits)
        else:
            code = steps(seed, waits=waits)
        return Text(py(code[min(number, len(code) - 1)]), usage=_SPENT)

    return answer


def given(question: str) -> str:
    """What a person answers to a question of such a program."""
    kind, _, number = question.partition(" ")
    return {"which": "tea", "really": "yes", "many": number, "what": f"answer {number}"}[kind]


def _sub_call(text: str) -> Item:
    if text.startswith("fail"):
        return Status(400, "no such thing")
    seconds = (blake2b(text.encode(), digest_size=1).digest()[0] % 8) / 500
    return Slow(seconds, f"said {text}")


class _Writer:
    def __init__(self, rng: random.Random, depth: int, place: str, waits: Sequence[float]) -> None:
        self._rng = rng
        self._depth = depth
        self._place = place
        self._waits = waits
        self._lines: list[str] = []
        self._indent = ""
        self._count = 0

    def steps(self) -> list[str]:
        found = []
        count = self._rng.randint(1, 3)
        for number in range(count):
            self._lines = ["import random, time", "acc = []", "kept = {}"] if number == 0 else []
            for _ in range(self._rng.randint(1, 4)):
                self._statement(2)
            self._put(f"memory.set('{self._place}acc', acc)")
            if number == count - 1:
                if self._rng.random() < 0.6:
                    self._put("reply(str(acc)[-200:])")
                self._put("done(acc[-3:])")
            elif self._rng.random() < 0.15:
                self._put("acc.append(1 // 0)")
            found.append("\n".join(self._lines))
        return found

    def _put(self, *lines: str) -> None:
        self._lines += [self._indent + line for line in lines]

    def _number(self) -> int:
        self._count += 1
        return self._count

    def _name(self) -> str:
        return f"{self._place}n/{self._rng.randint(0, 2)}"

    def _block(self, head: str, budget: int) -> None:
        self._put(head)
        before, self._indent = self._indent, self._indent + "    "
        for _ in range(self._rng.randint(1, 2)):
            self._statement(budget - 1)
        self._indent = before

    def _statement(self, budget: int) -> None:
        kinds: list[tuple[Callable[[], None], int]] = [
            (self._write, 4),
            (self._read, 4),
            (self._refused, 2),
            (self._chance, 2),
            (self._sleep, 1),
            (self._llm, 2),
            (self._ask, 3),
            (self._say, 1),
            (self._gather, 2),
            (self._race, 1),
        ]
        if self._depth:
            kinds.append((self._child, 1))
        if budget > 0:
            kinds += [(lambda: self._loop(budget), 2), (lambda: self._try(budget), 2)]
        (kind,) = self._rng.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])
        kind()

    # -- statements -------------------------------------------------------------------------------

    def _loop(self, budget: int) -> None:
        self._block(f"for i{budget} in range({self._rng.randint(1, 3)}):", budget)

    def _try(self, budget: int) -> None:
        self._block("try:", budget)
        error = self._rng.choice(["ValueError", "KeyError", "RuntimeError"])
        self._put(
            f"    raise {error}('on purpose')", f"except {error} as error:", "    acc.append(str(error))"
        )

    def _write(self) -> None:
        self._put(
            self._rng.choice(
                [
                    f"memory.set('{self._name()}', acc[-2:], note='n{self._number()}')",
                    f"memory.set('{self._name()}', {self._number()})",
                    f"memory.append('{self._place}log', 'x{self._number()}')",
                    f"memory.append('{self._place}list', [{self._number()}])",
                    f"memory.set('{self._place}text', 'long {self._number()} ' * 3000)",
                ]
            )
        )

    def _read(self) -> None:
        self._guarded(
            self._rng.choice(
                [
                    f"memory.get('{self._name()}')",
                    f"memory.names('{self._place}n/')",
                    f"memory.size('{self._place}text')",
                    f"memory.slice('{self._place}text', 3, 12)",
                    f"[(v.version, v.note) for v in memory.history('{self._place}log')]",
                    f"len(memory.grep('x', '{self._place}log'))",
                    "type(memory.search('anything')).__name__",
                ]
            )
        )

    def _refused(self) -> None:
        self._guarded(
            self._rng.choice(
                [
                    f"memory.set('{self._name()}', 0, expect=99).version",
                    "memory.set('bad name//', 1).version",
                    f"memory.revert('{self._name()}', 1).version",
                    f"memory.delete('{self._name()}')",
                    "memory.get('x', version=7)",
                ]
            )
        )

    def _guarded(self, expression: str) -> None:
        self._put(
            "try:",
            f"    acc.append({expression})",
            "except Exception as error:",
            "    acc.append(type(error).__name__)",
        )

    def _chance(self) -> None:
        drawn = self._rng.choice(["random.random()", "time.time()", "random.randint(1, 10**9)"])
        name = f"{self._place}kept/{self._number()}"
        self._put(
            f"kept['{name}'] = {drawn}",
            f"memory.set('{name}', kept['{name}'])",
            "acc.append([memory.get(name) == value for name, value in kept.items()])",
        )

    def _sleep(self) -> None:
        long = self._rng.random() < 0.3
        seconds = self._rng.choice(self._waits) if long else self._rng.choice([0, 0.001, 0.01])
        self._put(self._rng.choice([f"await asyncio.sleep({seconds})", f"time.sleep({seconds})"]))

    def _llm(self) -> None:
        if self._rng.random() < 0.2:
            self._guarded(f"await llm('fail {self._number()}')")
        else:
            self._put(f"acc.append(await llm('word {self._number()}', str(len(acc))))")

    def _ask(self) -> None:
        self._put(f"acc.append({self._question()})")

    def _question(self, awaited: str = "await ") -> str:
        number = self._number()
        return awaited + self._rng.choice(
            [
                f"ask('what {number}')",
                f"ask('which {number}', ['tea', 'coffee'])",
                f"ask('really {number}', type='yesno', timeout='2d')",
                f"ask('many {number}', type='number')",
                f"ask('{NOBODY}{number}', timeout=0.02, default='nobody')",
                f"ask('{NOBODY}{number}', timeout={self._waits[0]}, default={number})",
            ]
        )

    def _say(self) -> None:
        self._put(f"reply('said {self._number()}')")

    def _child(self) -> None:
        self._put(f"acc.append({self._run_of_child()})")

    def _run_of_child(self, awaited: str = "await ") -> str:
        seed = self._rng.randrange(1 << 30)
        return f"{awaited}rlm('{_CHILD}{seed} ', acc[-1:])"

    def _gather(self) -> None:
        calls = []
        for _ in range(self._rng.randint(2, 4)):
            kind = self._rng.randint(0, 3 if self._depth else 2)
            if kind == 0:
                calls.append(self._question(""))
            elif kind == 1:
                calls.append(f"asyncio.sleep({self._rng.choice([0, 0.002])})")
            elif kind == 2:
                calls.append(f"llm('part {self._number()}')")
            else:
                calls.append(self._run_of_child(""))
        self._put(f"acc.append(await asyncio.gather({', '.join(calls)}))")

    def _race(self) -> None:
        """Calls whose numbers hang on which of those before settles first."""
        number = self._number()
        self._put(
            f"async def work{number}(i):",
            f"    word = await llm('race {number}', str(i))",
            f"    memory.append('{self._place}race', [i])",
            "    again = await llm('again', word)",
            f"    memory.set('{self._place}raced/{number}/' + str(i), again)",
            "    return again",
            f"acc.append(await asyncio.gather({', '.join(f'work{number}({i})' for i in range(3))}))",
        )
