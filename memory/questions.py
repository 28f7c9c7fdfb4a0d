"""Questions that runs ask people and bots: kept until they are answered, however long that takes.

A question is open until the first answer, its time-out, or the end of its run; whichever comes first wins,
in one transaction. What an answer must be stands in its form, and every answer is checked against it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, insert, or_, select, update

from rlmd.errors import InvalidInput, NotFound, PreconditionFailed

from .clock import from_micros, to_micros
from .names import check_channel, check_text, short
from .outbox import Outbox
from .prepared import Prepared
from .records import Agent, Form, ParcelKind, Question, QuestionState, Run, User
from .tables import agents, question_channels, questions

MAX_TEXT = 20_000
MAX_CHOICES = 100
TYPES = ("text", "yesno", "number", "date")
_YES = frozenset({"yes", "y", "true", "1", "ja", "oui", "si", "ok"})
_NO = frozenset({"no", "n", "false", "0", "nein", "non"})
_OPEN = QuestionState.OPEN.value

_mine: Select[Any] = select(questions, agents.c.name.label("agent_name")).join(
    agents, questions.c.agent_id == agents.c.id
)


def _put_on(channel: Any) -> ColumnElement[bool]:
    """Whether a question was put on a channel."""
    also = select(question_channels.c.question_id).where(
        question_channels.c.question_id == questions.c.id,
        question_channels.c.channel == channel,
        question_channels.c.told.is_(True),
    )
    return or_(questions.c.channel == channel, also.exists())


# Each message of a person asks this.
_waiting = Prepared(
    select(questions.c.id)
    .where(
        questions.c.agent_id == bindparam("agent"),
        questions.c.state == _OPEN,
        _put_on(bindparam("channel")),
    )
    .limit(1)
)
_end = (
    update(questions)
    .where(questions.c.id == bindparam("question"), questions.c.state == _OPEN)
    .values(
        state=bindparam("to"),
        answer=bindparam("value"),
        answered_by=bindparam("by"),
        answered_on=bindparam("on"),
        end_time=bindparam("time"),
    )
    .returning(questions.c.agent_id)
)


class Questions:
    """The questions of one user's agents, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user
        self._outbox = Outbox(connection, now, user.id)

    def ask(
        self,
        agent: Agent,
        run: Run,
        call: int,
        *,
        channel: str,
        text: str,
        form: Form,
        expire_time: datetime | None,
        part: int = 0,
        also: Mapping[str, datetime] = {},
    ) -> Question:
        """An open question of a call; `also` are other channels, with the time from which it is put there.

        Raises:
            InvalidInput: no text, or a bad channel or form.
        """
        for each in (channel, *also):
            check_channel(each)
        check_text(text, "question", limit=MAX_TEXT)
        if not text.strip():
            raise InvalidInput("the question has no text", field="question", remedy="Ask something.")
        row = {
            "agent_id": agent.id,
            "run_id": run.id,
            "root_id": run.root,
            "call": call,
            "part": part,
            "channel": channel,
            "text": text,
            "form": dump(check_form(form)),
            "state": _OPEN,
            "answered_by": "",
            "answered_on": "",
            "ask_time": to_micros(self._now),
            "expire_time": None if expire_time is None else to_micros(expire_time),
        }
        added = self._connection.execute(insert(questions).returning(questions.c.id), row).scalar_one()
        self._outbox.post(channel, ParcelKind.QUESTION, agent.id, added)
        for other, due in also.items():
            place = {"question_id": added, "channel": other, "due_time": to_micros(due), "told": False}
            self._connection.execute(insert(question_channels), place)
        return self.get(added)

    def put_further(self, asked: Question) -> list[str]:
        """Put an open question where it is due by now; gives these channels."""
        due = question_channels.c.due_time <= to_micros(self._now)
        place = question_channels.c.question_id == asked.id
        statement = (
            update(question_channels)
            .where(place, due, question_channels.c.told.is_(False))
            .values(told=True)
            .returning(question_channels.c.channel)
        )
        found = list(self._connection.scalars(statement))
        agent_id = select(questions.c.agent_id).where(questions.c.id == asked.id)
        for channel in found:
            self._outbox.post(
                channel, ParcelKind.QUESTION, self._connection.execute(agent_id).scalar_one(), asked.id
            )
        return found

    def get(self, question_id: int, *, agent: str | None = None) -> Question:
        """Raises NotFound, also for a question of another user or agent."""
        found = self._several(_mine.where(questions.c.id == question_id))
        if not found or agent not in (None, found[0].agent):
            raise NotFound(
                f"there is no question {question_id}", field="name", remedy="List those that exist."
            )
        return found[0]

    def find(self, agent: Agent, question_id: int) -> Question | None:
        """A question of an agent, if there is that."""
        found = self._several(_mine.where(questions.c.id == question_id, questions.c.agent_id == agent.id))
        return found[0] if found else None

    def of_call(self, run: Run, call: int) -> list[Question]:
        """What a call of a run asked: one question, or one for each of several people."""
        mine = _mine.where(questions.c.run_id == run.id, questions.c.call == call)
        return self._several(mine.order_by(questions.c.part))

    def wait_on(self, agent: Agent, channel: str) -> bool:
        """Whether an answer to something that the agent has asked is awaited on a channel."""
        given = {"agent": agent.id, "channel": channel}
        return _waiting.first(self._connection, given) is not None

    def page(
        self,
        *,
        agent: str | None = None,
        channel: str = "",
        run: int | None = None,
        all_states: bool = False,
        before: int | None = None,
        most: int = 100,
    ) -> list[Question]:
        """Questions, newest first, only open ones unless `all_states`; `before` ends the last page."""
        statement = _mine.order_by(questions.c.id.desc()).limit(most)
        if not all_states:
            statement = statement.where(questions.c.state == _OPEN)
        if agent is not None:
            statement = statement.where(agents.c.name == agent)
        if channel:
            statement = statement.where(_put_on(channel))
        if run is not None:
            statement = statement.where(questions.c.run_id == run)
        if before is not None:
            statement = statement.where(questions.c.id < before)
        return self._several(statement)

    def answer(self, question_id: int, given: Any, *, by: str, on: str) -> Question:
        """Answer an open question: the first answer wins.

        Raises:
            NotFound: no such question.
            InvalidInput: the answer is not what the question asks for.
            PreconditionFailed: it is no longer open; says why.
        """
        asked = self.get(question_id)
        if asked.state is not QuestionState.OPEN:
            raise PreconditionFailed(
                f"question {question_id} {closed(asked)}",
                field="name",
                remedy="The answer came too late; tell the agent in a message.",
            )
        self._end(asked, QuestionState.ANSWERED, value=fit(asked.form, given), by=by, on=on)
        return self.get(question_id)

    def close(self, asked: Question, state: QuestionState) -> bool:
        """End an open question without an answer; tells whether it was still open."""
        return self._end(asked, state)

    def _end(
        self, asked: Question, state: QuestionState, *, value: Any = None, by: str = "", on: str = ""
    ) -> bool:
        given = {
            "question": asked.id,
            "to": state.value,
            "value": None if value is None else json.dumps(value, ensure_ascii=False),
            "by": by,
            "on": on,
            "time": to_micros(self._now),
        }
        agent_id = self._connection.execute(_end, given).scalar()
        if agent_id is None:
            return False
        for channel in (asked.channel, *self.get(asked.id).also):
            self._outbox.post(channel, ParcelKind.CLOSED, agent_id, asked.id)
        return True

    def _several(self, statement: Select[Any]) -> list[Question]:
        rows = self._connection.execute(statement.where(agents.c.user_id == self._user.id)).all()
        ids = [row.id for row in rows]
        further = defaultdict[int, list[Any]](list)
        if ids:
            of = question_channels.c.question_id.in_(ids)
            places = select(question_channels).where(of).order_by(question_channels.c.due_time)
            for place in self._connection.execute(places):
                further[place.question_id].append(place)
        return [_question(row, further.get(row.id, ())) for row in rows]


def check_form(form: Form) -> Form:
    """Raises InvalidInput: no such type, or choices that are none."""
    for name, kind in {"type": form.type, **dict(form.fields)}.items():
        if kind not in TYPES:
            raise InvalidInput(
                f"{short(kind)} is no type of an answer", field=name, remedy=f"There are: {', '.join(TYPES)}."
            )
    if len(form.choices) > MAX_CHOICES or len(set(form.choices)) < len(form.choices):
        raise InvalidInput(
            f"choices must differ, and be at most {MAX_CHOICES}", field="choices", remedy="Give fewer."
        )
    return form


def fit(form: Form, given: Any) -> Any:
    """An answer as the value that the form asks for, from that value or from what a person wrote.

    Raises:
        InvalidInput: it does not fit; says what would.
    """
    if form.fields:
        return _fields(form.fields, given)
    if form.choices:
        return _choice(form.choices, given)
    return _typed(form.type, given, "answer")


def wanted(form: Form) -> str:
    """What an answer must be, for people; empty if it may be any text."""
    if form.fields:
        return "a value for each of " + ", ".join(f"{name} ({kind})" for name, kind in form.fields.items())
    if form.choices:
        return "one of: " + ", ".join(form.choices)
    return {"text": "", "yesno": "yes or no", "number": "a number", "date": "a date like 2026-12-24"}[
        form.type
    ]


def closed(asked: Question) -> str:
    """Why a question is no longer open, as the end of a sentence."""
    match asked.state:
        case QuestionState.ANSWERED:
            where = f" on {asked.answered_on}" if asked.answered_on else ""
            return f"was answered by {asked.answered_by}{where}"
        case QuestionState.EXPIRED:
            return "was not answered in time"
    return "is no longer asked: its run has ended"


def _choice(choices: Sequence[str], given: Any) -> str:
    text = str(given).strip()
    fitting = [choice for choice in choices if choice.casefold() == text.casefold()]
    if not fitting and text.isdecimal() and 1 <= int(text) <= len(choices):
        fitting = [choices[int(text) - 1]]
    if len(fitting) > 1:
        fitting = [choice for choice in choices if choice == text]
    if len(fitting) != 1:
        raise _unfit(given, f"one of: {', '.join(choices)}")
    return fitting[0]


def _fields(fields: Mapping[str, str], given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            pairs = re.findall(r"^\s*([^:=\n]+?)\s*[:=]\s*(.*?)\s*$", given, re.MULTILINE)
            given = dict(pairs)
    if not isinstance(given, Mapping) or set(given) != set(fields):
        raise _unfit(given, "a value for each of " + ", ".join(fields))
    return {name: _typed(kind, given[name], name) for name, kind in fields.items()}


def _typed(kind: str, given: Any, field: str) -> Any:
    text = str(given).strip()
    match kind:
        case "yesno":
            word = text.casefold().rstrip(".!")
            if word in _YES or word in _NO:
                return word in _YES
            raise _unfit(given, "yes or no", field)
        case "number":
            try:
                number = float(text.replace(" ", ""))
            except ValueError:
                raise _unfit(given, "a number", field) from None
            return int(number) if number.is_integer() and "." not in text else number
        case "date":
            try:
                return date.fromisoformat(text).isoformat()
            except ValueError:
                raise _unfit(given, "a date like 2026-12-24", field) from None
    if not text:
        raise _unfit(given, "some text", field)
    return str(given)


def _unfit(given: Any, want: str, field: str = "answer") -> InvalidInput:
    return InvalidInput(f"{short(str(given))} does not answer it", field=field, remedy=f"Answer with {want}.")


def dump(form: Form) -> str:
    return json.dumps({"choices": list(form.choices), "type": form.type, "fields": dict(form.fields)})


def _question(row: Any, places: Sequence[Any]) -> Question:
    form = json.loads(row.form)
    coming = [place.due_time for place in places if not place.told]
    return Question(
        id=row.id,
        agent=row.agent_name,
        run=row.run_id,
        root=row.root_id,
        call=row.call,
        channel=row.channel,
        text=row.text,
        form=Form(choices=tuple(form["choices"]), type=form["type"], fields=form["fields"]),
        state=QuestionState(row.state),
        answer=None if row.answer is None else json.loads(row.answer),
        answered_by=row.answered_by,
        answered_on=row.answered_on,
        ask_time=from_micros(row.ask_time),
        expire_time=None if row.expire_time is None else from_micros(row.expire_time),
        end_time=None if row.end_time is None else from_micros(row.end_time),
        also=tuple(place.channel for place in places if place.told),
        next_time=from_micros(min(coming)) if coming else None,
    )
