"""The steps of one run: the model writes, the REPL runs, the observation goes back.

A step is on disk before the model is called again. A run that was cut off goes on where it was: what its
journal has is fed to a new sandbox and answered as it was, and from the journal's end on it is live.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rlmd.daemon.feed import Delta, Feed
from rlmd.daemon.models.api import Message, Reply
from rlmd.daemon.models.fences import Parsed, parse
from rlmd.daemon.repl.api import Call, Host, Raised, StepResult
from rlmd.daemon.repl.channels import Listing
from rlmd.daemon.repl.session import Session
from rlmd.errors import Exhausted, ModelError
from rlmd.memory.records import EntryKind, Origin, Run, RunState

from .host import RunHost
from .observe import Observation, not_code, observe
from .past import Past
from .progress import Progress
from .prompt import Prompt, ShownStep
from .scribe import Scribe
from .snapshots import Standing
from .thinking import BROKEN, Thinking
from .tokens import line

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
BLOCKS = 1_000
"""Blocks of a step at most, for what each seeds its randomness with."""


class RunFailed(Exception):
    """The run is over without an answer; the message is its reason."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a run ended."""

    state: RunState
    reason: str = ""
    result: Any = None


class Program:
    """What a run does between its start and its end. Make it, then await `carry_out` once."""

    def __init__(
        self,
        run: Run,
        model: str,
        *,
        host: RunHost,
        gate: Host,
        scribe: Scribe,
        thinking: Thinking,
        feed: Feed,
        standing: Standing | None = None,
    ) -> None:
        """
        Args:
            gate: Answers the calls: the host itself, or a replay in front of it.
            standing: The session is in the middle of a step, and this is how its host stood there.
        """
        self._run = run
        self._model = model
        self._host = host
        self._gate = gate
        self._scribe = scribe
        self._thinking = thinking
        self._feed = feed
        self._standing = standing
        self._shown: list[ShownStep] = []
        self._progress = Progress()

    async def carry_out(self, past: Past, prompt: Prompt, session: Session) -> Ending:
        """Go on from the past to the end.

        Raises:
            RunFailed: a limit was met, or no model answers.
            Diverged: the program does not do again what its journal says.
        """
        self._host.lower(prompt.origin)
        await self._rebuild(past, session)
        most = self._run.limits.steps or 1
        left = [step for step in past.steps if step.observation is None]
        for number in range(len(past.steps) - len(left) + 1, most + 1):
            begun = left and left[0].number == number
            reply = left[0].reply if begun else await self._write(number, prompt.messages(self._shown))
            parsed = parse(reply.text) if reply.finish not in UNFINISHED else UNFINISHED_REPLY
            self._host.begin(number)
            if begun and self._standing is not None:
                self._host.stand(self._standing)
            there = left[0].there if begun else self._host.listing([each.code for each in parsed.blocks])
            if not begun:
                self._record_step(number, reply, [block.code for block in parsed.blocks], there)
            code = "\n\n".join(block.code for block in parsed.blocks)
            if not parsed.blocks and parsed.problem is None and parsed.prose:
                observation = await self._speak(number, parsed.prose)
                if observation is None:
                    return Ending(state=RunState.DONE, result=self._host.result)
                self._note(number, observation, ran=0, lost=False)
                finished = False
            else:
                observation, finished = await self._perform(number, parsed, session, there)
            if self._host.ended or finished:
                return Ending(state=RunState.DONE, result=self._host.result)
            # It is on disk before the model is called again: it commits with what is reserved for the call.
            self._show(number, reply, code, observation)
        raise RunFailed(f"limit: steps ({most})")

    async def _rebuild(self, past: Past, session: Session) -> None:
        """Give the session the names, and the prompt the steps, that the run had when it was cut off."""
        # Of steps whose names are lost the calls are not answered again, but what they read was read.
        self._host.lower(past.origin)
        first = past.kept_from
        self._host.count = past.last_call(before=first)
        for step in past.steps:
            if step.observation is None:
                continue
            self._host.begin(step.number)
            if self._standing is not None:
                self._host.recall(past.calls.values())
            fed = step.ran if step.number >= first and self._standing is None else 0
            for at, code in enumerate(step.blocks[:fed]):
                await session.run_step(
                    code,
                    self._gate,
                    self._host.count + 1,
                    turn=step.number * BLOCKS + at,
                    checked=True,
                    there=step.there,
                )
            self._show(step.number, step.reply, step.code, step.observation)

    def _show(self, number: int, reply: Reply, code: str, observation: Observation) -> None:
        """A step is over: the model will be shown it.

        Raises:
            RunFailed: it gets nowhere.
        """
        outcome = observation.fault or "ok"
        fold = f"{line(code or reply.text, 120)} -> {line(outcome, 80)}"
        self._shown.append(ShownStep(number=number, reply=reply.text, shown=observation.shown, fold=fold))
        if stuck := self._progress.stuck(code, observation, effects=bool(self._host.effects)):
            raise RunFailed(stuck)

    async def _write(self, number: int, messages: Sequence[Message]) -> Reply:
        def on_text(text: str) -> None:
            self._feed.push(self._run.id, Delta(text, number))

        try:
            return await self._thinking.complete(messages, self._model, step=number, on_text=on_text)
        except Exhausted as error:
            if error.field not in ("model_calls", "tokens", "money"):
                raise
            raise RunFailed(f"limit: {error.field}. {error}") from error
        except ModelError as error:
            raise RunFailed(f"the model failed: {error}") from error

    async def _speak(self, number: int, text: str) -> Observation | None:
        """A model's text without code: a reply to the person, or a child's value. None if it was taken."""
        call = Call(number=self._host.count + 1, name="reply", args=(text,), kwargs={}, line=0, waits=False)
        outcome = await self._gate.call(call)
        return not_code(number, str(outcome.error)) if isinstance(outcome, Raised) else None

    async def _perform(
        self, number: int, parsed: Parsed, session: Session, there: Listing
    ) -> tuple[Observation, bool]:
        """Run a step's blocks in order; tells also whether nothing is left to do."""
        if not parsed.blocks:
            observation = not_code(number, parsed.problem or EMPTY)
            self._note(number, observation, ran=0, lost=False)
            return observation, False
        results: list[StepResult] = []
        for at, block in enumerate(parsed.blocks):
            turn = number * BLOCKS + at
            if self._standing is not None:
                self._standing = None
                result = await session.go_on(self._gate)
            else:
                result = await session.run_step(
                    block.code, self._gate, self._host.count + 1, turn=turn, there=there
                )
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
        last = results[-1]
        refused = last.fault is not None and last.fault.kind == "refused"
        lost = last.session_lost and not last.ended
        self._note(number, observation, ran=len(results) - refused, lost=lost)
        quiet = all(
            result.fault is None and not result.output and result.value_repr is None and not result.unawaited
            for result in results
        )
        return observation, self._host.replied and quiet and parsed.problem is None

    def _record_step(self, number: int, reply: Reply, blocks: Sequence[str], there: Listing) -> None:
        data: dict[str, Any] = {
            "reply": reply.text,
            "blocks": blocks,
            "model": reply.model,
            "usage": asdict(reply.usage),
            "note": reply.note,
            "finish": reply.finish,
        }
        if self._host.origin is not Origin.OWNER:
            # What the model was shown may have come from elsewhere, too.
            data["origin"] = int(self._host.origin)
        if there:
            # A replay finds who was there, not who is.
            data["channels"] = dict(there)
        self._scribe.note(EntryKind.STEP, data, step=number)
        self._scribe.commit_soon()

    def _note(self, number: int, observation: Observation, *, ran: int, lost: bool) -> None:
        data = {
            "text": observation.shown,
            "full": observation.full,
            "fault": observation.fault,
            "ran": ran,
            "lost": lost,
        }
        self._scribe.note(EntryKind.OBSERVATION, data, step=number)
