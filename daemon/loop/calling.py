"""How a program reaches a channel: who is there, the call and its row, and what it came to.

A call commits with its row in the journal, and is sent until it has a result, however long that takes and
whatever breaks meanwhile: always with the same key, so that who does it does it once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rlmd.daemon.repl import channels
from rlmd.daemon.repl.channels import Listing
from rlmd.daemon.router import Router
from rlmd.errors import Cancelled, DeadlineExceeded, InvalidInput, NotFound, PreconditionFailed
from rlmd.memory.records import Agent, CallState, Channel, ChannelCall, Function, Message, Origin, Run
from rlmd.memory.store import Store, Transaction

from .calls import as_text
from .schemas import bind, fault, shown

NEAR = 100
"""Channels that a program finds without naming them in the step that imports them."""
MOST = 1_000
"""Channels that are looked through."""
TOLD = 12
"""Channels of which a prompt tells."""
LARGE = 10_000
"""Characters from which a check is not made on the event loop."""
MAX_RESULT = 1_000_000
MAX_ERROR = 10_000


class ChannelFailed(RuntimeError):
    """A function of a channel failed; the program may catch this."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a program calls, with what."""

    channel: str
    function: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


# -- who is there ---------------------------------------------------------------------------------


def listing(tx: Transaction, agent: Agent, code: str) -> Listing:
    """Who is there for a step with this code, and what they offer: those that it names, and some others."""
    known = tx.channels.known_to(agent, MOST)
    if len(known) > NEAR:
        named = [name for name in known if name in code or name.replace("-", "_") in code]
        known = [*named, *(name for name in known if name not in named)][:NEAR]
    offered = {
        each.name: [function.name for function in each.functions] for each in tx.channels.several(known)
    }
    return {name: offered.get(name, []) for name in sorted(known)}


def who(tx: Transaction, agent: Agent, own: str) -> str:
    """A line about the channels, for a prompt, but for its `own`; empty if there is no other."""
    known = [name for name in tx.channels.known_to(agent, TOLD + 2) if name != own]
    offered = {each.name: each.functions for each in tx.channels.several(known[:TOLD])}
    told = [_told(name, offered.get(name, ())) for name in known[:TOLD]]
    if len(known) > TOLD:
        told.append("and more")
    return f"Channels: {', '.join(told)}." if told else ""


def _told(name: str, functions: Sequence[Function]) -> str:
    name = name.replace("-", "_")
    return f"{name} ({'; '.join(map(shown, functions[:TOLD]))})" if functions else name


def imports(code: str) -> bool:
    """Whether a step may import the channels."""
    return channels.NAME in code


# -- a call ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Order:
    """A call that can be sent: what is called, with arguments that fit."""

    channel: Channel
    function: Function
    arguments: str
    """A JSON object."""
    until: datetime
    """When it is over in any case."""

    def open(self, tx: Transaction, agent: Agent, run: Run, number: int) -> ChannelCall:
        """Commit it as a call of a run."""
        return tx.channel_calls.open(
            agent,
            run,
            number,
            channel=self.channel,
            function=self.function,
            arguments=self.arguments,
            expire_time=self.until,
        )


async def prepare(store: Store, router: Router, given: Given, now: datetime) -> Order:
    """The call that a program wants to make, checked.

    Raises:
        NotFound: the channel does not offer it.
        TypeError: the arguments are not what it takes.
        PreconditionFailed: nobody is connected, and the call would not wait.
    """
    channel, function = store.read(lambda tx: _offered(tx, given.channel, given.function))
    arguments = await _beside(
        len(str(given.args)) + len(str(given.kwargs)), bind, channel.name, function, given.args, given.kwargs
    )
    if not function.waits and not router.online(channel.id):
        raise PreconditionFailed(
            f"{channel.name} is not connected, and {function.name} does not wait for it",
            field="channels",
            remedy=f"Try again later; it was last there at {channel.seen_time:%Y-%m-%d %H:%M} UTC.",
        )
    until = now + timedelta(seconds=function.seconds)
    return Order(channel=channel, function=function, arguments=arguments, until=until)


def _offered(tx: Transaction, channel: str, function: str) -> tuple[Channel, Function]:
    """What a program wants to call, as it is offered now. Raises NotFound."""
    found = tx.channels.find(channel)
    functions = () if found is None else found.functions
    for each in functions:
        if found is not None and each.name == function:
            return found, each
    there = ", ".join(map(shown, functions)) or "nothing but ask and tell"
    raise NotFound(f"{channel} does not offer {function}", field="channels", remedy=f"It offers {there}.")


async def look(store: Store, called: ChannelCall, now: datetime) -> ChannelCall:
    """The call as it stands now; one whose time is over is closed."""
    current = store.read(lambda tx: tx.channel_calls.get(called.id))
    if current.state is not CallState.OPEN or current.expire_time > now:
        return current

    def close(tx: Transaction) -> ChannelCall:
        tx.channel_calls.end(current, CallState.EXPIRED)
        return tx.channel_calls.get(called.id)

    return await store.write(close)


def outcome(called: ChannelCall) -> Any:
    """What the program gets.

    Raises:
        ChannelFailed: the function failed, or gave what it must not.
        DeadlineExceeded: there was no result in time.
        Cancelled: the call was withdrawn.
    """
    what = f"{called.channel}.{called.function}"
    match called.state:
        case CallState.DONE:
            return json.loads(called.result or "null")
        case CallState.FAILED:
            raise ChannelFailed(f"{what}() failed: {called.error}")
        case CallState.EXPIRED:
            raise DeadlineExceeded(
                f"{what}() had no result in time",
                field="channels",
                remedy="Catch TimeoutError. Whether it was done is not known.",
            )
    raise Cancelled(f"the call of {what} was withdrawn", field="channels")


# -- its result -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a client says that a call came to."""

    value: str | None = None
    """JSON text; None if there is no value."""
    error: str = ""
    """Why there is none."""
    fault: str = ""
    """What is wrong with what the client said; then this, too, is why there is no value."""


async def judge(called: ChannelCall, value: str | None, error: str | None) -> Result:
    """What a result is worth: one that is not what the offer promised is an error."""
    if value is not None:
        problem = await _beside(len(value), _unfit, called.result_schema, value)
        if not problem:
            return Result(value=value)
        return Result(error=f"its result is not what it offers: {problem}", fault=problem)
    if error is None:
        problem = "there is neither a result nor an error"
        return Result(error=problem, fault=problem)
    if len(error) > MAX_ERROR:
        problem = f"an error of {len(error):,} characters is longer than {MAX_ERROR:,}"
        return Result(error=error[:MAX_ERROR], fault=problem)
    return Result(error=error or "it did not say why")


def _unfit(schema: str, text: str) -> str:
    """What is wrong with a result; empty if nothing is."""
    if len(text) > MAX_RESULT:
        return f"{len(text):,} characters are more than {MAX_RESULT:,}"
    try:
        value = json.loads(text, parse_constant=_no_number)
    except RecursionError:
        return "it is nested too deeply"
    except ValueError as error:
        return f"it is not JSON: {error}"
    return fault(schema, value)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def answer(tx: Transaction, channel: Channel, number: int, result: Result) -> ChannelCall:
    """Keep what a call came to; said again, nothing changes.

    Raises:
        NotFound: there is no such call of the channel.
        PreconditionFailed: it is over without a result.
    """
    called = tx.channel_calls.get(number, channel=channel)
    state = CallState.FAILED if result.value is None else CallState.DONE
    return tx.channel_calls.answer(called, state, result=result.value, error=result.error)


async def _beside(size: int, work: Callable[..., str], *args: Any) -> str:
    """Check something: beside the event loop if it is large."""
    return work(*args) if size < LARGE else await asyncio.to_thread(work, *args)


# -- telling --------------------------------------------------------------------------------------


def text_of(value: Any) -> str:
    """What a program wants to say. Raises InvalidInput: nothing."""
    text = "" if value is None else as_text(value)
    if not text.strip():
        raise InvalidInput("there is no text", field="tell", remedy="Give it something to say.")
    return text


def tell(tx: Transaction, agent: Agent, run: Run, channel: str, text: str, origin: Origin) -> Message:
    """Say something on a channel. Raises InvalidInput: it can have no such name."""
    return tx.log(agent.name).add(
        channel=channel, sender=agent.name, text=text, origin=origin, from_agent=True, run=run.id
    )
