"""The chat's own commands. What looks like one and is none is told; `/py` is the built-in agent's."""

from __future__ import annotations

import re

from rlmd.clients.sync import Agent, Client

from . import out
from .view import describe

LEAVE = "leave"
_DONE = "done"
_COMMAND = re.compile(r"/[a-z]+")
"""What looks like a command; a path such as /etc/hosts does not."""
_HELP = """\
/runs            the last runs of this agent
/run N           a run with its steps and calls
/memory [PREFIX] what it remembers, by name
/agent NAME      talk with another agent
/quit            leave (also Ctrl-D)
Everything else goes to the agent. Ctrl-C stops what it is doing."""


def obey(text: str, client: Client, agent: Agent) -> str | Agent | None:
    """Do what a slash command says: LEAVE, the agent to talk with from now on, or something else.

    None means that the text is no command, but for the agent.
    """
    word, _, rest = text.partition(" ")
    rest = rest.strip()
    match word:
        case "/quit" | "/exit":
            return LEAVE
        case "/help":
            out.say(_HELP)
        case "/runs":
            rows = [
                (r.id, r.state, out.local(r.create_time), out.cut(r.event_text, 60)) for r in agent.runs(n=10)
            ]
            out.table(("run", "state", "begun", "event"), rows, empty="There are none.")
        case "/run" if rest:
            _show_run(agent, rest)
        case "/memory":
            named = [
                (v.name, f"v{v.version}", out.local(v.version.time)) for v in agent.memory.variables(rest)
            ]
            out.table(("name", "version", "written"), named, empty="There is nothing.")
        case "/agent" if rest:
            other = client.agent(rest)
            other.get()
            return other
        case "/run" | "/agent":
            out.note(f"{word} needs a {'number' if word == '/run' else 'name'}; see /help.")
        case "/py":
            return None
        case _ if _COMMAND.fullmatch(word):
            out.note(f"There is no command {word}; see /help.")
        case _:
            return None
    return _DONE


def _show_run(agent: Agent, id: str) -> None:
    found = agent.run(id).get()
    out.say(f"run {found.id}  {found.state}  {out.cut(found.event_text)}")
    for step in found.steps:
        out.say(f"step {step.number}\n{step.code or step.reply}")
        for call in step.calls:
            out.say(f"  {describe(call)}")
