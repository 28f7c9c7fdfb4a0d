"""What channels say about their functions in JSON Schema: checked when it is offered, and used at each call.

Schemas come from clients, and all users share this process: nothing is fetched, and what a check may cost is
bounded. Patterns are matched with a time limit, and only so many keywords are looked at in one check.
"""

from __future__ import annotations

import contextvars
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import regex
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from rlmd.errors import InvalidInput
from rlmd.memory.names import check_text, short
from rlmd.memory.records import Function

MAX_SCHEMA = 20_000
"""Characters of one schema."""
MAX_ARGUMENTS = 1_000_000
"""Characters of the arguments of a call, as JSON."""
KEYWORDS = 200_000
"""Keywords that are looked at in one check."""
PATTERN_SECONDS = 0.05
_REFUSED = frozenset(
    {"patternProperties", "unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$dynamicAnchor", "$id"}
)
"""Keywords that cost more than they are worth here."""

_left: contextvars.ContextVar[list[int]] = contextvars.ContextVar("keywords left")


def check_offered(function: Function) -> Function:
    """Raises InvalidInput: a schema of it is none."""
    _check_schema(function.name, "functions.parameters_json", function.parameters)
    _check_schema(function.name, "functions.result_json", function.result)
    schema = _parsed(function.parameters)
    named = schema.get("properties", {}) if isinstance(schema, dict) else None
    if not isinstance(named, dict) or (function.parameters and schema.get("type") != "object"):
        raise InvalidInput(
            f"the parameters of {function.name} are not those of an object",
            field="functions.parameters_json",
            remedy='Like {"type": "object", "properties": {"on": {"type": "boolean"}}}.',
        )
    return function


def bind(channel: str, function: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The arguments of a call as JSON text of an object that fits the function's schema.

    Raises:
        TypeError: they do not fit; the message shows how it is called.
    """
    names = list(_parsed(function.parameters).get("properties", {}))
    given = dict(zip(names, args, strict=False))
    twice = sorted(given.keys() & kwargs.keys())
    if len(args) > len(names):
        problem = f"takes {len(names)} arguments, not {len(args)}"
    elif twice:
        problem = f"got {' and '.join(twice)} twice"
    elif kwargs and not function.parameters:
        problem = f"takes no {' and '.join(sorted(kwargs))}"
    else:
        given.update(kwargs)
        problem = fault(function.parameters, given)
    if problem:
        raise TypeError(f"{channel}.{function.name}(): {problem}. It is {channel}.{shown(function)}")
    text = json.dumps(given, ensure_ascii=False)
    if len(text) > MAX_ARGUMENTS:
        problem = f"{len(text):,} characters of arguments are more than {MAX_ARGUMENTS:,}"
        raise TypeError(f"{channel}.{function.name}(): {problem}")
    return text


def fault(schema: str, value: Any) -> str:
    """What about a value does not fit a schema, in words; empty if it fits, or there is no schema."""
    if not schema:
        return ""
    _left.set([KEYWORDS])
    try:
        error = best_match(_validator(schema).iter_errors(value))
    except RecursionError:
        return "the schema refers to itself without end"
    except _TooLong:
        return "it is too large to be checked"
    except Unresolvable as unresolvable:
        return f"the schema refers to {short(unresolvable.ref)}, which is not in it"
    if error is None:
        return ""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    where = path.lstrip(".")
    message = error.message if len(error.message) <= 300 else error.message[:297] + "..."
    return f"{where}: {message}" if where else message


def shown(function: Function) -> str:
    """How the function is called, as Python writes it: `lights(on: boolean, level: integer = 3)`."""
    schema = _parsed(function.parameters)
    required = schema.get("required", ())
    parts = []
    for name, each in schema.get("properties", {}).items():
        kind = _kind(each)
        text = f"{name}: {kind}" if kind else name
        if name not in required:
            default = each.get("default") if isinstance(each, dict) else None
            text += f" = {'...' if default is None else json.dumps(default, ensure_ascii=False)}"
        parts.append(text)
    return f"{function.name}({', '.join(parts)})"


def _kind(schema: Any) -> str:
    """The type of a parameter, in a few words."""
    if not isinstance(schema, dict):
        return ""
    if isinstance(choices := schema.get("enum"), list):
        return " | ".join(json.dumps(choice, ensure_ascii=False) for choice in choices[:10])
    kind = schema.get("type", "")
    return " | ".join(map(str, kind)) if isinstance(kind, list) else str(kind)


def _check_schema(name: str, field: str, text: str) -> None:
    check_text(text, field, limit=MAX_SCHEMA)
    problem, remedy = _problem(text)
    if problem:
        raise InvalidInput(f"a schema of {name} {problem}", field=field, remedy=remedy)


@lru_cache(maxsize=2048)
def _problem(text: str) -> tuple[str, str]:
    """What is wrong with a schema, as the end of a sentence, and what to do; empty if nothing is."""
    try:
        schema = _parsed(text)
        Draft202012Validator.check_schema(schema)
        refused = sorted(_REFUSED & {key for each in _objects(schema) for key in each})
        target = _unresolved(schema)
    except RecursionError:
        return "is nested too deeply", "Make it simpler."
    except ValueError as error:
        return f"is not JSON: {error}", "Correct it."
    except SchemaError as error:
        return f"is not JSON Schema: {error.message[:300]}", "See draft 2020-12."
    if refused:
        return (
            f"uses {', '.join(refused)}, which is not taken here",
            "Say it with properties, $defs and $ref.",
        )
    if target:
        return (
            f"refers to {short(target)}, which is not in it",
            "Put it below $defs; nothing is fetched.",
        )
    return "", ""


def _unresolved(schema: Any) -> str:
    """A reference in the schema that leads nowhere; empty if there is none."""
    if not isinstance(schema, dict):
        return ""
    resolver: Any = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    for each in _objects(schema):
        target = each.get("$ref")
        if not isinstance(target, str):
            continue
        try:
            resolver.lookup(target)
        except (Unresolvable, ValueError):
            return target
    return ""


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object at any depth, whether it is a schema or not: rather one too many than one too few."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from _objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _objects(value)


class _TooLong(Exception):
    """A check has looked at too many keywords."""


def _counted(keyword: Any) -> Any:
    def check(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        left = _left.get()
        left[0] -= 1
        if left[0] < 0:
            raise _TooLong
        yield from keyword(validator, wanted, instance, schema) or ()

    return check


def _unique(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    # The library compares each with each.
    several = wanted and isinstance(instance, list)
    if several and len({json.dumps(item, sort_keys=True) for item in instance}) < len(instance):
        yield ValidationError("some of its items are the same")


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, str):
        return
    try:
        found = regex.search(pattern, instance, timeout=PATTERN_SECONDS)
    except TimeoutError:
        yield ValidationError(f"{short(instance)} takes too long to match {short(pattern)}")
    except regex.error as error:
        yield ValidationError(f"{short(pattern)} is no pattern: {error}")
    else:
        if found is None:
            yield ValidationError(f"{short(instance)} does not match {short(pattern)}")


_extend: Any = extend
_KEYWORDS = {**Draft202012Validator.VALIDATORS, "pattern": _pattern, "uniqueItems": _unique}
_Validator: Any = _extend(
    Draft202012Validator, {name: _counted(keyword) for name, keyword in _KEYWORDS.items()}
)


@lru_cache(maxsize=512)
def _parsed(text: str) -> Any:
    """No schema is one that says nothing."""
    return json.loads(text) if text else {}


@lru_cache(maxsize=512)
def _validator(text: str) -> Any:
    # An empty registry: a reference to somewhere else is not fetched.
    return _Validator(_parsed(text), registry=Registry())
