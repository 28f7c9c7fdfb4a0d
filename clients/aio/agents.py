"""An agent: its memory, its log, its runs, and talking with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import fields

from google.protobuf.field_mask_pb2 import FieldMask

from rlmd.clients import decode
from rlmd.clients.check import INT32, INT64, check_bool, check_choice, check_int, check_str, check_type
from rlmd.clients.money import check_money
from rlmd.clients.records import AgentInfo, Limits, Permit, RunInfo, RunState
from rlmd.clients.updates import Asked, Ended, Halted, Reply, Said, Update, Waiting, question_text, stopped
from rlmd.errors import Cancelled, InvalidInput, ModelError
from rlmd.proto.rlmd.v1 import agents_pb2, channels_pb2, runs_pb2
from rlmd.proto.rlmd.v1.agents_pb2_grpc import AgentsStub
from rlmd.proto.rlmd.v1.channels_pb2_grpc import ChannelsStub
from rlmd.proto.rlmd.v1.runs_pb2_grpc import RunsStub

from .connection import Connection, request_id
from .log import Log
from .memory import Memory
from .runs import Run, follow


class Agent:
    """A handle on one agent. Holds nothing but its name: making one asks the daemon nothing."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._agents = AgentsStub(connection.channel)
        self.name = check_str(name, "agent")
        self.memory = Memory(connection, name)
        self.log = Log(connection, name)
        self._resource = f"agents/{name}"

    def __repr__(self) -> str:
        return f"Agent({self.name!r})"

    async def get(self) -> AgentInfo:
        """What the agent is.

        Raises:
            NotFound: there is no such agent.
        """
        request = agents_pb2.GetAgentRequest(name=self._resource)
        return decode.agent(await self._connection.call(self._agents.GetAgent, request))

    async def clone(self, name: str, *, memory: bool = False) -> Agent:
        """Make an agent like this one: the same instructions, models and limits; its log begins anew.

        Args:
            memory: Whether its variables are copied, each as it stands now, without its history.

        Raises:
            NotFound: there is no such agent.
            AlreadyExists: the name is taken.
        """
        request = agents_pb2.CloneAgentRequest(
            name=self._resource,
            agent_id=check_str(name, "agent"),
            copy_memory=check_bool(memory, "memory"),
            request_id=request_id(),
        )
        await self._connection.call(self._agents.CloneAgent, request)
        return Agent(self._connection, name)

    async def update(
        self,
        *,
        instructions: str | None = None,
        model: str | None = None,
        sub_model: str | None = None,
        limits: Limits | None = None,
        quiet: str | None = None,
    ) -> AgentInfo:
        """Change what is given. Empty texts, and None in `limits`, mean the daemon's defaults."""
        given = {
            "instructions": instructions,
            "model": model,
            "sub_model": sub_model,
            "limits": limits,
            "quiet": quiet,
        }
        mask = FieldMask(paths=[name for name, value in given.items() if value is not None])
        agent = agents_pb2.Agent(
            name=self._resource,
            instructions=check_str("" if instructions is None else instructions, "instructions"),
            model=check_str("" if model is None else model, "model"),
            sub_model=check_str("" if sub_model is None else sub_model, "sub_model"),
            limits=to_limits(limits),
            quiet=check_str("" if quiet is None else quiet, "quiet"),
        )
        request = agents_pb2.UpdateAgentRequest(agent=agent, update_mask=mask, request_id=request_id())
        return decode.agent(await self._connection.call(self._agents.UpdateAgent, request))

    async def delete(self, *, force: bool = False) -> None:
        """Delete the agent with its memory, log and runs.

        Raises:
            PreconditionFailed: it has active runs, and `force` is not set.
        """
        request = agents_pb2.DeleteAgentRequest(
            name=self._resource, force=check_bool(force, "force"), request_id=request_id()
        )
        await self._connection.call(self._agents.DeleteAgent, request)

    async def tidy(self) -> Run:
        """Let the agent go over what is new in its memory now, instead of when it is idle.

        What it changes is one changeset: `run.changes()` shows it, `run.undo()` takes it back.
        """
        request = agents_pb2.TidyAgentRequest(name=self._resource, request_id=request_id())
        run = decode.run(await self._connection.call(self._agents.TidyAgent, request))
        return Run(self._connection, self.name, run.id)

    async def permits(self) -> list[Permit]:
        """What its runs may do without asking you, even after they have read text from outside."""
        request = agents_pb2.ListPermitsRequest(parent=self._resource)
        found = await self._connection.call(self._agents.ListPermits, request)
        return [decode.permit(message) for message in found.permits]

    async def permit(self, what: str) -> Permit:
        """Permit something for good, such as `home.lights`, as the answer `always` to an approval does."""
        request = agents_pb2.CreatePermitRequest(parent=self._resource, what=check_str(what, "what"))
        return decode.permit(await self._connection.call(self._agents.CreatePermit, request))

    async def forbid(self, what: str) -> None:
        """Permit something no more: the next run that wants it asks.

        Raises:
            NotFound: it is not permitted.
        """
        name = f"{self._resource}/permits/{check_str(what, 'what')}"
        await self._connection.call(self._agents.DeletePermit, agents_pb2.DeletePermitRequest(name=name))

    async def chat(
        self, text: str, channel: str = "chat", on_update: Callable[[Update], None] | None = None
    ) -> Reply:
        """Say something and wait for the answer, however long that takes.

        It comes when the run has ended, or waits for something that takes long, such as your answer to a
        question: say that on the channel of the question, or give it by `client.questions`. While the agent
        waits for others, so does this.

        Args:
            on_update: Called with everything that happens meanwhile.

        Raises:
            ModelError: the run failed before the agent had said anything; its reason says why.
            Cancelled: the run was cancelled before the agent had said anything.
            PreconditionFailed: all your runs are stopped. What you said is kept, and waits for `resume_all`.
        """
        said: list[str] = []
        asked: list[Asked] = []
        last: Update | None = None
        async for last in self.stream(text, channel):
            if on_update is not None:
                on_update(last)
            if isinstance(last, Said):
                said.append(last.text)
            elif isinstance(last, Asked):
                said.append(question_text(last))
                asked.append(last)
        if isinstance(last, Waiting):
            return Reply(text="\n\n".join(said), run=last.run, state=RunState.WAITING, asked=tuple(asked))
        if isinstance(last, Halted):
            raise stopped(last)
        assert isinstance(last, Ended)
        if not said and last.state is not RunState.DONE:
            kind = Cancelled if last.state is RunState.CANCELLED else ModelError
            raise kind(
                last.reason or f"The run was {last.state}.",
                remedy=f"See `rlmd run show {self.name}/{last.run}`.",
            )
        return Reply(
            text="\n\n".join(said), run=last.run, state=last.state, asked=tuple(asked), result=last.result
        )

    async def stream(self, text: str, channel: str = "chat") -> AsyncIterator[Update]:
        """Say something and follow what the agent does about it, until its run ends, waits or is stopped.

        Goes on over a restart of the daemon; nothing is said twice and no update is lost.
        """
        async for update in follow(self._connection, self._saying(text, channel), "", 0):
            yield update

    async def send(self, text: str, channel: str = "chat") -> Run:
        """Say something without waiting: returns as soon as it is on disk, with its run.

        That is the run that it began, or the one whose question it answers.
        """
        channels = ChannelsStub(self._connection.channel)
        sent = await self._connection.call(channels.Send, self._saying(text, channel))
        return Run(self._connection, self.name, decode.last(sent.run), sent.after_sequence)

    def run(self, id: str | int) -> Run:
        """A handle on a run of this agent, by its id."""
        if not isinstance(id, str):
            id = str(check_int(id, "id", 1))
        return Run(self._connection, self.name, check_str(id, "id"))

    async def runs(
        self,
        *,
        states: Collection[RunState] = (),
        children: bool = False,
        background: bool = False,
        n: int | None = None,
    ) -> list[RunInfo]:
        """The runs of this agent, newest first, without their steps.

        Args:
            states: Only runs in one of these states; empty means all.
            children: Whether runs that other runs began by `rlm` are listed too.
            background: Only those that schedules began, with where what they have to say has got to.
            n: How many at most; None means all.
        """
        return await list_runs(self._connection, self._resource, states, children, background, n)

    def _saying(self, text: str, channel: str) -> channels_pb2.SendRequest:
        return channels_pb2.SendRequest(
            agent=self._resource,
            text=check_str(text, "text"),
            channel=check_str(channel, "channel"),
            request_id=request_id(),
        )


def to_limits(limits: Limits | None) -> agents_pb2.RunLimits | None:
    """Limits as the contract has them: there 0 means the default, and a depth of none is -1."""
    if limits is None:
        return None
    check_type(limits, Limits, "limits")
    given = {
        field.name: _limit(field.name, value)
        for field in fields(limits)
        if (value := getattr(limits, field.name)) is not None
    }
    if given.get("depth") == 0:
        given["depth"] = -1
    return agents_pb2.RunLimits(**given)


async def list_runs(
    connection: Connection,
    parent: str,
    states: Collection[RunState],
    children: bool,
    background: bool,
    n: int | None,
) -> list[RunInfo]:
    """Runs of `agents/{agent}`, or of all with `agents/-`; see `Agent.runs`."""
    most = None if n is None else check_int(n, "n", 1)
    if isinstance(states, str) or not isinstance(states, Collection):
        raise InvalidInput(f"{states!r} is no collection.", field="states", remedy="Give a list of states.")
    request = runs_pb2.ListRunsRequest(
        parent=parent,
        page_size=min(most or 1000, 1000),
        states=[check_choice(state, decode.STATES, "states") for state in states],
        show_children=check_bool(children, "children"),
        background=check_bool(background, "background"),
    )
    found: list[RunInfo] = []
    async for message in connection.pages(RunsStub(connection.channel).ListRuns, request, "runs"):
        found.append(decode.run(message))
        if len(found) == most:
            break
    return found


def _limit(name: str, value: object) -> int:
    field = f"limits.{name}"
    if name == "money":
        return check_money(value, field)
    return check_int(value, field, 0, INT64 if name == "tokens" else INT32)
