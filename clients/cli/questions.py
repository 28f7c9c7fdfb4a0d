"""questions, answer: what agents ask, and the answers."""

from __future__ import annotations

import click

from rlmd.clients.records import Question

from . import out
from .base import COUNT, App, Command, pass_app


@click.command(
    cls=Command,
    examples="""
        rlmd questions
        rlmd questions --all -n 50
        rlmd questions --json
    """,
)
@click.option("--all", "ended", is_flag=True, help="Also those that are no longer open.")
@click.option("-n", default=20, show_default=True, type=COUNT, help="How many at most.")
@click.option("--agent", default="", metavar="NAME", help="Only of this agent.")
@pass_app
def questions(app: App, ended: bool, n: int, agent: str) -> None:
    """What agents ask, newest first. A run that asks waits, for days if need be, and uses nothing."""
    with app.client() as client:
        found = client.questions.list(agent=agent, ended=ended, n=n)
    if app.json:
        out.print_json(found)
        return
    rows = [(q.id, q.agent, _state(q), q.channel, out.local(q.ask_time), _text(q)) for q in found]
    heads = ("question", "agent", "state", "channel", "asked", "text")
    out.table(heads, rows, empty="Nobody waits for an answer.")


@click.command(
    cls=Command,
    examples="""
        rlmd answer 3 yes
        rlmd answer 4 "The 09:40 train, please."
    """,
)
@click.argument("id")
@click.argument("answer")
@pass_app
def answer(app: App, id: str, answer: str) -> None:
    """Answer a question by its number. The first answer wins; one that comes too late is told so."""
    with app.client() as client:
        question = client.questions.answer(id, answer)
    if app.json:
        out.print_json(question)
    else:
        out.say(f"{question.id} is answered; run {question.run} of {question.agent} goes on.")


def _state(question: Question) -> str:
    if not question.answered_by:
        return question.state
    return f"{question.state} by {question.answered_by}"


def _text(question: Question) -> str:
    return f"{question.text} ({question.wanted})" if question.wanted else question.text
