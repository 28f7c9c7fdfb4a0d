"""A typed function as an offer: what its signature says in JSON Schema, and what comes in and goes out."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

import rlmd
from rlmd.clients.channels.functions import Offered, offered
from rlmd.clients.channels.threads import Threads
from rlmd.daemon.loop.schemas import check_offered
from rlmd.memory.records import Function
from rlmd.proto.rlmd.v1 import channels_pb2 as pb


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Seat:
    row: int
    window: bool = False


@dataclasses.dataclass
class Node:
    name: str
    children: list[Node] = dataclasses.field(default_factory=list)


def parameters(made: Offered) -> Any:
    return json.loads(made.message.parameters_json)


async def call(function: Callable[..., Any], **arguments: Any) -> Any:
    return json.loads(await offered(function).call(json.dumps(arguments), Threads(4)))


def test_the_signature_is_the_schema() -> None:
    def lights(on: bool, room: Literal["hall", "attic"] = "hall", *, level: int = 3) -> None:
        """Switch lights.

        All of them.
        """

    made = offered(lights, side_effects=True, time_limit=timedelta(minutes=1))
    assert parameters(made) == {
        "type": "object",
        "properties": {
            "on": {"type": "boolean"},
            "room": {"enum": ["hall", "attic"], "type": "string", "default": "hall"},
            "level": {"type": "integer", "default": 3},
        },
        "required": ["on"],
        "additionalProperties": False,
    }
    assert json.loads(made.message.result_json) == {"type": "null"}
    assert made.message.doc == "Switch lights.\n\nAll of them."
    assert (made.message.name, made.message.offline) == ("lights", pb.OFFLINE_WAIT)
    assert made.message.time_limit.seconds == 60


def book(
    when: date,
    seat: Seat,
    colour: Colour | None = None,
    names: Annotated[list[str], Field(max_length=2)] = [],  # noqa: B006
) -> Seat:
    names.append("changed")
    return Seat(when.day, window=colour is Colour.RED)


def walk(tree: Node) -> dict[str, Any]:
    return {"name": tree.name, "kinds": [type(each).__name__ for each in tree.children]}


def anything(x, y=1):  # type: ignore[no-untyped-def]
    return [x, y]


def nothing() -> None: ...


def pair() -> tuple[int, Colour]:
    return 1, Colour.BLUE


@pytest.mark.parametrize("function", [book, walk, anything, nothing, pair])
def test_the_daemon_takes_what_is_made(function: Callable[..., Any]) -> None:
    message = offered(function).message
    made = Function(
        name=message.name,
        doc=message.doc,
        parameters=message.parameters_json,
        result=message.result_json,
        side_effects=True,
        seconds=1,
        waits=True,
    )
    assert check_offered(made) == made


async def test_values_come_as_the_annotations_say_and_go_as_json() -> None:
    for _ in range(2):
        # The default list is not one for all calls.
        assert await call(book, when="2026-12-24", seat={"row": 3}) == {"row": 24, "window": False}
    assert await call(book, when="2026-12-24", seat={"row": 3}, colour="red", names=["a"]) == {
        "row": 24,
        "window": True,
    }
    assert await call(walk, tree={"name": "a", "children": [{"name": "b"}]}) == {
        "name": "a",
        "kinds": ["Node"],
    }
    assert await call(anything, x={"deep": [1, None]}) == [{"deep": [1, None]}, 1]
    assert await call(pair) == [1, "blue"]

    async def waits(n: float) -> float:
        return n / 2

    class Bound:
        def method(self, n: int) -> int:
            return n + 1

    assert await call(waits, n=3) == 1.5
    assert await call(Bound().method, n=3) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"when": "soon", "seat": {"row": 3}}, "book: when: "),
        ({"when": "2026-12-24", "seat": {"row": "x"}}, "book: seat.row: "),
        ({"when": "2026-12-24"}, "book: seat: "),
        ({"when": "2026-12-24", "seat": {"row": 3}, "more": 1}, "book: more: "),
        ({"when": "2026-12-24", "seat": {"row": 3}, "names": ["a", "b", "c"]}, "book: names: "),
    ],
)
async def test_arguments_of_other_types_are_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        await call(book, **arguments)
    assert str(caught.value).startswith(message)


async def test_a_result_of_another_type_is_told() -> None:
    def wrong() -> int:
        return "many"  # type: ignore[return-value]

    with pytest.raises(TypeError, match="wrong gave a str"):
        await call(wrong)


def star(*args: int) -> None: ...


def stars(**kwargs: int) -> None: ...


def positional(a: int, /) -> None: ...


def unheard_of(a: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def untellable(a: Callable[[], int]) -> None: ...


def ask() -> None: ...


def _private() -> None: ...


@pytest.mark.parametrize(
    ("function", "options", "field"),
    [
        (star, {}, "function"),
        (stars, {}, "function"),
        (positional, {}, "function"),
        (unheard_of, {}, "function"),
        (untellable, {}, "function"),
        (ask, {}, "name"),
        (_private, {}, "name"),
        (lambda: 1, {}, "name"),
        (nothing, {"name": "no name"}, "name"),
        (nothing, {"name": "class"}, "name"),
        (nothing, {"name": 3}, "name"),
        (nothing, {"side_effects": "no"}, "side_effects"),
        (nothing, {"trusted": 1}, "trusted"),
        (nothing, {"offline": "sleep"}, "offline"),
        (nothing, {"time_limit": 0}, "time_limit"),
        (nothing, {"time_limit": "1h"}, "time_limit"),
        (nothing, {"time_limit": float("nan")}, "time_limit"),
        (nothing, {"time_limit": timedelta(days=4000)}, "time_limit"),
    ],
)
def test_what_cannot_be_offered(function: Callable[..., Any], options: dict[str, Any], field: str) -> None:
    with pytest.raises(rlmd.InvalidInput) as caught:
        offered(function, **options)
    assert caught.value.field == field
    assert caught.value.remedy
