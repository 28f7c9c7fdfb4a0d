"""The statements of variables, made once: SQLAlchemy then compiles each one once."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select, update

from .tables import index_queue, variables, versions

_FACTS = (
    versions.c.number, versions.c.kind, versions.c.size, versions.c.characters, versions.c.author_user,
    versions.c.author_agent, versions.c.author_run, versions.c.author_step, versions.c.author_call,
    versions.c.origin, versions.c.note, versions.c.write_time, versions.c.source_time,
)  # fmt: skip
_CONTENT = (versions.c.inline, versions.c.root)
_IDENTITY = (variables.c.id, variables.c.name)

_of_variable = versions.c.variable_id == variables.c.id
_named = (variables.c.space_id == bindparam("space")) & (variables.c.name == bindparam("name"))
HEAD = select(*_IDENTITY, *_FACTS, *_CONTENT).where(
    _named, _of_variable, versions.c.number == variables.c.head
)
NUMBERED = select(*_IDENTITY, *_FACTS, *_CONTENT).where(
    _named, _of_variable, versions.c.number == bindparam("number")
)
DATED = (
    select(*_IDENTITY, *_FACTS, *_CONTENT)
    .where(_named, _of_variable, versions.c.write_time <= bindparam("time"))
    .order_by(versions.c.number.desc())
    .limit(1)
)
HISTORY = (
    select(*_FACTS)
    .where(_named, _of_variable, versions.c.number < bindparam("before"))
    .order_by(versions.c.number.desc())
    .limit(bindparam("most"))
)
LISTED = (
    select(*_IDENTITY, *_FACTS)
    .where(
        variables.c.space_id == bindparam("space"),
        variables.c.name > bindparam("after"),
        variables.c.name >= bindparam("low"),
        variables.c.name <= bindparam("high"),
        _of_variable,
        versions.c.number == variables.c.head,
    )
    .order_by(variables.c.name)
    .limit(bindparam("most"))
)
ADD_VARIABLE = insert(variables).returning(variables.c.id)
MOVE_HEAD = (
    update(variables)
    .where(variables.c.id == bindparam("variable"))
    .values(head=bindparam("head"), deleted=bindparam("deleted"))
)
ADD_VERSION = insert(versions)
ENQUEUE = insert(index_queue)

HEADS = select(
    variables.c.id, variables.c.name, versions.c.number, versions.c.kind, versions.c.write_time
).where(
    variables.c.space_id == bindparam("space"),
    variables.c.name.in_(bindparam("names", expanding=True)),
    _of_variable,
    versions.c.number == variables.c.head,
)
"""What a write must know of many variables."""
ADD_VARIABLES = insert(variables).returning(variables.c.id, variables.c.name)
