"""The statements of variables, made and compiled once."""

from __future__ import annotations

from sqlalchemy import bindparam, func, insert, select, update

from .prepared import Prepared
from .tables import index_queue, spaces, variables, versions

_FACTS = (
    versions.c.number, versions.c.kind, versions.c.size, versions.c.characters, versions.c.author_user,
    versions.c.author_agent, versions.c.author_run, versions.c.author_step, versions.c.author_call,
    versions.c.origin, versions.c.note, versions.c.write_time, versions.c.source_time,
)  # fmt: skip
_CONTENT = (versions.c.inline, versions.c.root)
_IDENTITY = (variables.c.id, variables.c.name)

_of_variable = versions.c.variable_id == variables.c.id
_named = (variables.c.space_id == bindparam("space")) & (variables.c.name == bindparam("name"))
_latest = _of_variable & (versions.c.number == variables.c.head)

SPACE = Prepared(
    select(spaces.c.id).where(spaces.c.user_id == bindparam("user"), spaces.c.name == bindparam("name"))
)

_one = select(*_IDENTITY, *_FACTS, *_CONTENT).where(_named, _of_variable)
HEAD = Prepared(_one.where(versions.c.number == variables.c.head))
NUMBERED = Prepared(_one.where(versions.c.number == bindparam("number")))
DATED = Prepared(
    _one.where(versions.c.write_time <= bindparam("time")).order_by(versions.c.number.desc()).limit(1)
)
HISTORY = Prepared(
    select(*_FACTS)
    .where(_named, _of_variable, versions.c.number < bindparam("before"))
    .order_by(versions.c.number.desc())
    .limit(bindparam("most"))
)

_all = (
    select(*_IDENTITY, *_FACTS)
    .where(
        variables.c.space_id == bindparam("space"),
        variables.c.name > bindparam("after"),
        variables.c.name >= bindparam("low"),
        variables.c.name <= bindparam("high"),
        _latest,
    )
    .order_by(variables.c.name)
    .limit(bindparam("most"))
)
LISTED_WITH_DELETED = Prepared(_all)
LISTED = Prepared(_all.where(variables.c.deleted.is_(False)))
NAMES = Prepared(
    select(variables.c.name)
    .where(
        variables.c.space_id == bindparam("space"),
        variables.c.name >= bindparam("low"),
        variables.c.name <= bindparam("high"),
        variables.c.deleted.is_(False),
    )
    .order_by(variables.c.name)
)

ADD_VARIABLE = Prepared(insert(variables).returning(variables.c.id))
MOVE_HEAD = Prepared(
    update(variables)
    .where(variables.c.id == bindparam("variable"))
    .values(head=bindparam("number"), deleted=bindparam("gone"))
)
ADD_VERSION = Prepared(insert(versions))
ENQUEUE = Prepared(insert(index_queue), ["space_id", "variable_id"])

_name_of = func.json_each(bindparam("names")).table_valued("value")
HEADS = Prepared(
    select(variables.c.id, variables.c.name, versions.c.number, versions.c.kind, versions.c.write_time).where(
        variables.c.space_id == bindparam("space"),
        variables.c.name.in_(select(_name_of.c.value)),
        _latest,
    )
)
"""What a write must know of many variables; `names` is a JSON list."""
