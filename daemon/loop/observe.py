"""What a step came to, as the model is shown it.

The fault is never what is cut; a failed step lists what had taken effect, because it is not undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlmd.daemon.repl.api import Fault, StepResult

from .host import REPLY_SENT, Effect
from .tokens import cut, listed

SHOWN_TOKENS = 2_000
"""Of a step's output."""
FAULT_TOKENS = 600


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The outcome of a step."""

    shown: str
    """To the model."""
    full: str
    """The same with all the output that was kept."""
    fault: str = ""
    """The fault in one line; empty if there was none."""


def observe(
    step: int,
    results: Sequence[StepResult],
    *,
    blocks: int,
    effects: Sequence[Effect],
    note: str = "",
) -> Observation:
    """The outcome of the blocks of a step that ran; `blocks` is how many it had."""
    fault = next((result.fault for result in results if result.fault is not None), None)
    output = "\n".join(filter(None, (_output(result) for result in results)))
    tail = [note] if note else []
    if fault is not None:
        tail.append(_fault(fault, len(results), blocks))
        tail += [f"Hint: {hint}" for hint in fault.hints]
        if effects:
            done = listed([f"{effect.text} (call {effect.call})" for effect in effects], "; ")
            tail.append(f"What took effect before that, and stays: {done}.")
    elif any(effect.text == REPLY_SENT for effect in effects) and not results[-1].ended:
        tail.append("Your reply was sent. If nothing is left to do, call done().")
    if len(results) < blocks:
        tail.append(f"Not run: {_numbers(range(len(results) + 1, blocks + 1))} of {blocks} blocks.")
    if unawaited := [name for result in results for name in result.unawaited]:
        names = listed(unawaited, ", ")
        tail.append(f"Started but never awaited, so stopped: {names}. Await a call in its step.")
    if any(result.session_lost and not result.ended for result in results):
        tail.append("The REPL was started anew: names from before are gone. Memory is as it was.")
    head = f"[observation of step {step}: {'error' if fault else 'ok'}]"
    more = f"log.step({step}) has all"
    if not output and not tail:
        output = "(no output)"
    return Observation(
        shown="\n".join(filter(None, (head, cut(output, SHOWN_TOKENS, more=more), *tail))),
        full="\n".join(filter(None, (head, output, *tail))),
        fault=f"{fault.type}: {fault.message}" if fault else "",
    )


def not_code(step: int, problem: str) -> Observation:
    """The outcome of a reply in which there was nothing to run."""
    text = f"[observation of step {step}: error]\n{problem}"
    return Observation(shown=text, full=text, fault=problem)


def _output(result: StepResult) -> str:
    parts = [result.output.rstrip("\n")]
    if result.value_repr is not None:
        parts.append(f"=> {result.value_repr}")
    return "\n".join(filter(None, parts))


def _fault(fault: Fault, block: int, blocks: int) -> str:
    which = f"block {block}" if blocks > 1 else "the step"
    if fault.kind == "refused":
        # Its message has a line for each cause.
        return cut(f"Refused, nothing of {which} ran:\n{fault.message}", FAULT_TOKENS)
    where = (
        ", ".join(filter(None, [which if blocks > 1 else "", f"line {fault.line}" if fault.line else ""]))
        or which
    )
    return cut(f"{fault.type} at {where}: {fault.message}", FAULT_TOKENS)


def _numbers(numbers: range) -> str:
    return ", ".join(map(str, numbers))
