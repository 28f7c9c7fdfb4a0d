"""One run, from its event to its end: the model writes, the REPL runs, the observation goes back.

A step is on disk before its code runs, and its observation before the model is called again. Limits
end a run as failed, with the limit's name; what it did until then is kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rlmd.daemon.feed import Delta
from rlmd.daemon.models.api import Message, Reply
from rlmd.daemon.models.fences import Parsed, parse
from rlmd.daemon.repl.api import Call, Limits, Raised, StepResult, World
from rlmd.daemon.repl.session import Session
from rlmd.errors import Exhausted, ModelError, RlmdError
from rlmd.memory.records import Agent, EntryKind, Run, RunLimits, RunState
from rlmd.memory.store import Store, Transaction

from .equipment import Equipment, Tree
from .host import ChildFailed, RunHost
from .observe import Observation, not_code, observe
from .prompt import PastStep, Prompt
from .scribe import Row, Scribe, finish
from .thinking import BROKEN, Thinking
from .tokens import line

SAME_FAULT = 3
"""Times that the same code may fail in the same way, one after another, before the run is stopped."""
EMPTY = (
    "Your reply was empty. Write one ```python block, or answer the person in plain words without a block."
)
UNFINISHED = BROKEN | {"length"}
UNFINISHED_REPLY = Parsed(
    blocks=(),
    prose="",
    problem="Your reply broke off before its end, so nothing of it ran or was said. Write it again, shorter.",
)
"""Half a program may do what the whole would not, and half an answer may say so: neither is used."""
PARENT_STOPPED = "its parent stopped"
FAULT = "a fault of rlmd; the daemon's log has the trace"


class RunFailed(Exception):
    """The run is over without an answer; the message is its reason."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a run ended."""

    state: RunState
    reason: str = ""
    result: Any = None


class Runner:
    """Carries out one run. Make it, then await `run()` once."""

    def __init__(
        self,
        equipment: Equipment,
        store: Store,
        agent: Agent,
        run: Run,
        tree: Tree,
        *,
        context: Sequence[Any] = (),
        model: str | None = None,
    ) -> None:
        self._equipment = equipment
        self._store = store
        self._agent = agent
        self._run = run
        self._tree = tree
        self._context = list(context)
        self._model = model or agent.model or equipment.settings.model or equipment.model.default
        self._deadline = time.monotonic() + (run.limits.seconds or 0)
        self._scribe = Scribe(store, agent, run, equipment.feed, equipment.clock)
        self._host = RunHost(equipment, store, agent, run, self._scribe, self)
        self._thinking = Thinking(equipment, store, run, tree, self._scribe)
        self._steps: list[PastStep] = []

    async def run(self) -> Ending:
        """Start the run, carry it to its end and record that.

        Raises:
            asyncio.CancelledError: it was stopped from outside; its end is then the stopper's to record.
            RlmdError: the store or the sandbox failed; the run stands unfinished.
        """
        deadline = asyncio.timeout(self._run.limits.seconds)
        try:
            async with deadline:
                ending = await self._to_the_end()
        except TimeoutError:
            if not deadline.expired():
                raise
            seconds = self._run.limits.seconds
            ending = Ending(state=RunState.FAILED, reason=f"limit: seconds ({seconds} s of wall time)")
        except RunFailed as failure:
            ending = Ending(state=RunState.FAILED, reason=str(failure))
        await self.end(ending)
        return ending

    def _start(self, tx: Transaction) -> tuple[None, Row]:
        """A child was started when it was made; a root run is still in the mailbox."""
        run = tx.runs.start(self._run) if self._run.state is RunState.QUEUED else self._run
        data = {"model": self._model, "context": self._context, "attempt": run.attempts}
        return None, Row(kind=EntryKind.STARTED, data=data, step=run.steps)

    async def end(self, ending: Ending) -> None:
        """Record the end, after all that waits: the journal's last row. No effect on a run that has ended."""
        data = {"state": ending.state.value, "reason": ending.reason, "result": ending.result}

        def work(tx: Transaction) -> tuple[None, Row | None]:
            if tx.runs.state(self._run.id).ended:
                return None, None
            tx.runs.end(self._run, ending.state, reason=ending.reason, result=ending.result)
            return None, Row(kind=EntryKind.ENDED, data=data, step=self._host.step)

        await self._scribe.commit(work)

    async def _to_the_end(self) -> Ending:
        world = World(
            event=self._event(),
            now=self._equipment.local_now(),
            seed=self._run.seed,
            depth=self._run.limits.depth or 0,
        )
        # A worker takes as long to start as all that the first call of the model needs.
        opening = asyncio.create_task(self._equipment.sandbox.open(world, Limits()))
        try:
            await self._scribe.commit(self._start)
            prompt = await Prompt.open(self._equipment, self._store, self._agent, self._run, self._context)
            return await self._loop(prompt, await opening)
        finally:
            await _close(opening)

    async def _loop(self, prompt: Prompt, session: Session) -> Ending:
        most = self._run.steps + (self._run.limits.steps or 1)
        repeated, last = 1, ("", "")
        for number in range(self._run.steps + 1, most + 1):
            reply = await self._write(number, prompt.messages(self._steps))
            parsed = parse(reply.text) if reply.finish not in UNFINISHED else UNFINISHED_REPLY
            code = "\n\n".join(block.code for block in parsed.blocks)
            await self._record_step(number, reply, code)
            if not parsed.blocks and parsed.problem is None and parsed.prose:
                observation = await self._speak(number, parsed.prose)
                if observation is None:
                    return Ending(state=RunState.DONE, result=self._host.result)
                finished = False
            else:
                observation, finished = await self._perform(number, parsed, session)
            await self._record_observation(number, observation, reply, code)
            if self._host.ended or finished:
                return Ending(state=RunState.DONE, result=self._host.result)
            same = (code, observation.fault)
            repeated = repeated + 1 if observation.fault and same == last else 1
            last = same
            if repeated >= SAME_FAULT:
                fault = line(observation.fault, 200)
                raise RunFailed(f"limit: the same step failed {SAME_FAULT} times in the same way ({fault})")
        raise RunFailed(f"limit: steps ({self._run.limits.steps})")

    async def _write(self, number: int, messages: Sequence[Message]) -> Reply:
        def on_text(text: str) -> None:
            self._equipment.feed.push(self._run.id, Delta(text, number))

        try:
            return await self._thinking.complete(messages, self._model, step=number, on_text=on_text)
        except Exhausted as error:
            if error.field != "model_calls":
                raise
            raise RunFailed(f"limit: model_calls. {error}") from error
        except ModelError as error:
            raise RunFailed(f"the model failed: {error}") from error

    async def _speak(self, number: int, text: str) -> Observation | None:
        """A model's text without code: a reply to the person, or a child's value. None if it was taken."""
        call = Call(number=self._host.count + 1, name="reply", args=(text,), kwargs={}, line=0, waits=False)
        outcome = await self._host.call(call)
        return not_code(number, str(outcome.error)) if isinstance(outcome, Raised) else None

    async def _perform(self, number: int, parsed: Parsed, session: Session) -> tuple[Observation, bool]:
        """Run a step's blocks in order; tells also whether nothing is left to do."""
        if not parsed.blocks:
            return not_code(number, parsed.problem or EMPTY), False
        results: list[StepResult] = []
        for block in parsed.blocks:
            result = await session.run_step(block.code, self._host, self._host.count + 1)
            results.append(result)
            if result.ended or result.fault is not None:
                break
        observation = observe(
            number,
            results,
            blocks=len(parsed.blocks),
            effects=self._host.effects,
            note=parsed.problem or "",
        )
        quiet = all(
            result.fault is None and not result.output and result.value_repr is None and not result.unawaited
            for result in results
        )
        return observation, self._host.replied and quiet and parsed.problem is None

    async def _record_step(self, number: int, reply: Reply, code: str) -> None:
        self._host.begin(number)
        data = {
            "reply": reply.text,
            "code": code,
            "model": reply.model,
            "usage": asdict(reply.usage),
            "note": reply.note,
            "finish": reply.finish,
        }
        self._scribe.note(EntryKind.STEP, data, step=number)
        await self._scribe.commit()

    async def _record_observation(
        self, number: int, observation: Observation, reply: Reply, code: str
    ) -> None:
        data = {"text": observation.shown, "full": observation.full, "fault": observation.fault}
        self._scribe.note(EntryKind.OBSERVATION, data, step=number)
        await self._scribe.commit()
        outcome = observation.fault or "ok"
        fold = f"{line(code or reply.text, 120)} -> {line(outcome, 80)}"
        self._steps.append(PastStep(number=number, reply=reply.text, shown=observation.shown, fold=fold))

    def _event(self) -> dict[str, Any]:
        event = self._run.event
        fields = {
            "kind": event.kind,
            "channel": event.channel,
            "sender": event.sender,
            "text": event.text,
            "time": event.time.astimezone(self._equipment.zone),
            "attachments": list(event.attachments),
        }
        return fields if self._run.parent is None else {**fields, "context": self._context}

    # -- models: what the host asks for on behalf of the program ----------------------------------

    async def ask_model(self, call: Call, text: str, model: str | None) -> str:
        """`llm` in programs; see `Thinking.ask`."""
        return await self._thinking.ask(text, self._below(model), step=self._host.step, call=call.number)

    async def spawn(
        self, call: Call, task: str, context: tuple[Any, ...], max_steps: int | None, model: str | None
    ) -> tuple[Any, int]:
        """A child run with its own REPL; `rlm` in programs. Gives its value and its number.

        Raises:
            ChildFailed: says which and why.
        """
        own = self._run.limits
        # The step that asks is not over yet: a child of the last step still has one.
        left = self._run.steps + (own.steps or 1) - self._host.step + 1
        limits = RunLimits(
            steps=min(max_steps or left, left),
            depth=(own.depth or 0) - 1,
            seconds=max(int(self._deadline - time.monotonic()), 1),
            model_calls=own.model_calls,
        )

        def make(tx: Transaction) -> Run:
            made = tx.runs.create(self._agent, kind="rlm", text=task, limits=limits, parent=self._run)
            return tx.runs.start(made)

        async with self._equipment.child_slots[self._run.depth]:
            # A cancel must not leave a child in the database that nobody carries out.
            child, cancelled = await finish(self._store.write(make))
            runner = Runner(
                self._equipment,
                self._store,
                self._agent,
                child,
                self._tree,
                context=context,
                model=self._below(model),
            )
            if cancelled:
                await runner.end(Ending(state=RunState.CANCELLED, reason=PARENT_STOPPED))
                raise asyncio.CancelledError
            working = asyncio.create_task(self._carry_out(runner, child.id), name=f"run {child.id}")
            with self._tree.child(child.id, working):
                ending = await working
        if ending.state is not RunState.DONE:
            raise ChildFailed(f"child run {child.id} {ending.state.value}: {ending.reason}")
        return ending.result, child.id

    async def _carry_out(self, runner: Runner, child_id: int) -> Ending:
        """Carry out a child; whatever happens, its end is on disk when this is over."""
        try:
            return await runner.run()
        except asyncio.CancelledError:
            reason = self._tree.stopped(child_id)
            ending = Ending(state=RunState.CANCELLED, reason=reason or PARENT_STOPPED)
            await runner.end(ending)
            if not reason:
                raise
            return ending
        except RlmdError as error:
            await runner.end(Ending(state=RunState.FAILED, reason=str(error)))
            raise
        except Exception:
            await runner.end(Ending(state=RunState.FAILED, reason=FAULT))
            raise

    def _below(self, model: str | None) -> str:
        """The model of a sub-call or child."""
        return model or self._agent.sub_model or self._equipment.settings.sub_model or self._model


async def _close(opening: asyncio.Task[Session]) -> None:
    """Close the session that was opened, if it was."""
    if not opening.done():
        opening.cancel()
        await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        await opening.result().close()
