"""A typed Python function as an offer: its parameters and its result become JSON Schema.

Arguments come as a JSON object and are turned into what the annotations say (a date, an enum, a dataclass);
the result goes back the same way. The daemon checks both against the schemas too, before anything is sent.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import json
import keyword
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError
from pydantic.json_schema import GenerateJsonSchema

from rlmd.clients.check import check_bool, check_choice, check_str
from rlmd.errors import InvalidInput
from rlmd.proto.rlmd.v1 import channels_pb2 as pb

from .threads import Threads

WhenOffline = Literal["wait", "fail"]

OFFLINE = {"wait": pb.OFFLINE_WAIT, "fail": pb.OFFLINE_FAIL}
TAKEN = ("ask", "tell")
"""What every channel has, so that no function can be called so."""
LONGEST_LIMIT = timedelta(days=3653)

_ARGUMENTS = "_Arguments"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offered:
    """A function as it is offered, and how it is called."""

    message: pb.Function
    function: Callable[..., Any]
    parameters: TypeAdapter[Any]
    result: TypeAdapter[Any]

    async def call(self, arguments_json: str, threads: Threads) -> str:
        """Call it with a JSON object; its result as JSON text.

        Raises:
            TypeError: the arguments are not of its types, or the result is not of the type that it promises.
            Exception: what the function raises.
        """
        try:
            arguments = vars(self.parameters.validate_json(arguments_json))
        except ValidationError as exc:
            raise TypeError(f"{self.message.name}: {_first(exc)}") from exc
        result = await threads.run(self.function, **arguments)
        try:
            return self.result.dump_json(result, warnings="error").decode()
        except ValueError as exc:
            # Pydantic's own error of this has no public name.
            what = str(exc).splitlines()[-1].strip()
            raise TypeError(f"{self.message.name} gave a {type(result).__name__}: {what}") from exc


def offered(
    function: Callable[..., Any],
    *,
    name: str = "",
    side_effects: bool = True,
    trusted: bool = False,
    time_limit: float | timedelta | None = None,
    offline: WhenOffline = "wait",
) -> Offered:
    """The offer that a function is.

    Raises:
        InvalidInput: its signature cannot be told as JSON Schema, or an option cannot be.
    """
    own = check_str(name, "name") or getattr(function, "__name__", "")
    if not own.isidentifier() or keyword.iskeyword(own) or own.startswith("_") or own in TAKEN:
        remedy = f"Give a name such as `lights`; {' and '.join(TAKEN)} are taken."
        raise InvalidInput(f"{own!r} cannot be a function of a channel.", field="name", remedy=remedy)
    hints = _hints(function, own)
    parameters, parameters_json = _adapter(_arguments(function, own, hints), own, "validation")
    result, result_json = _adapter(hints.get("return", Any), own, "serialization")
    message = pb.Function(
        name=own,
        doc=inspect.getdoc(function) or "",
        parameters_json=parameters_json,
        result_json=result_json,
        side_effects=check_bool(side_effects, "side_effects"),
        trusted=check_bool(trusted, "trusted"),
        offline=check_choice(offline, OFFLINE, "offline"),
    )
    if time_limit is not None:
        message.time_limit.FromTimedelta(_limit(time_limit))
    return Offered(message=message, function=function, parameters=parameters, result=result)


class _Bare(GenerateJsonSchema):
    """JSON Schema without titles that only say the name again: models read these schemas."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _adapter(
    kind: Any, name: str, mode: Literal["validation", "serialization"]
) -> tuple[TypeAdapter[Any], str]:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        schema = adapter.json_schema(mode=mode, schema_generator=_Bare)
    except (PydanticSchemaGenerationError, PydanticUserError) as exc:
        what = str(exc).splitlines()[0].rstrip(".")
        raise InvalidInput(
            f"{name}: {what}.",
            field="function",
            remedy="Use types that JSON can carry: numbers, texts, lists, dicts, dates, enums, dataclasses.",
        ) from exc
    if schema.get("title") == _ARGUMENTS:
        del schema["title"]
    return adapter, json.dumps(schema, ensure_ascii=False)


def _arguments(function: Callable[..., Any], name: str, hints: dict[str, Any]) -> type[Any]:
    """A dataclass of the parameters. Unlike a model of pydantic's, it reserves no names for itself."""
    fields: list[tuple[str, Any, Any]] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise InvalidInput(
                f"{name}: the parameter {str(parameter)!r} cannot be given by its name.",
                field="function",
                remedy="Arguments come by name: use plain parameters, such as `on: bool = True`.",
            )
        if parameter.default is parameter.empty:
            field = dataclasses.field()
        elif parameter.default.__hash__ is None:
            # A list or a dict: each call gets one of its own, which it may change.
            field = dataclasses.field(default_factory=functools.partial(copy.deepcopy, parameter.default))
        else:
            field = dataclasses.field(default=parameter.default)
        fields.append((parameter.name, hints.get(parameter.name, Any), field))
    made = dataclasses.make_dataclass(_ARGUMENTS, fields, kw_only=True)
    made.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
    return made


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as exc:
        raise InvalidInput(
            f"{name}: its annotations cannot be read: {exc}.",
            field="function",
            remedy="Define the types that it names at the top of its module.",
        ) from exc


def _limit(value: object) -> timedelta:
    remedy = "Give seconds or a timedelta, more than 0 and at most ten years."
    try:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        span = timedelta(seconds=value) if number else value  # type: ignore[arg-type]
    except (OverflowError, ValueError):
        span = None
    if not isinstance(span, timedelta) or not timedelta(0) < span <= LONGEST_LIMIT:
        raise InvalidInput(f"{value!r} cannot be a time limit.", field="time_limit", remedy=remedy)
    return span


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]
