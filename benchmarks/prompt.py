"""How large the prompt is: with little and much in memory, after few and many steps.

    python -m benchmarks.prompt [--memories 10 10000 100000] [--steps 3 30 300]

Tokens are counted as the daemon counts them. The last prompt that the model was sent is what is measured.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

import rlmd
from rlmd.clients.records import Limits
from rlmd.daemon.loop.tokens import tokens
from tests.daemon_process import DaemonProcess

from .figures import report
from .filling import fill
from .model import last_prompt, serving

_names = itertools.count(1)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--memories", type=int, nargs="+", default=[10, 10_000, 100_000])
    options.add_argument("--steps", type=int, nargs="+", default=[3, 30, 300])
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving() as url:
        env = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none", "RLMD_MODEL": "bench"}
        config = {"max_steps": 1_000}
        with DaemonProcess(Path(folder) / "data", env=env, config=config) as daemon:
            sizes = []
            for memories in given.memories:
                daemon.stop()
                fill(daemon.data, memories)
                daemon.start()
                sizes.append(_size(daemon, url, 2, "set"))
                report("prompt.by_memories", sizes[-1:], "tokens", memories=memories)
            report("prompt.growth_by_memories", [_growth(sizes)], "%", most=5)
            sizes = []
            for steps in given.steps:
                sizes.append(_size(daemon, url, steps, "long"))
                report("prompt.by_steps", sizes[-1:], "tokens", steps=steps)
            report("prompt.growth_by_steps", [_growth(sizes)], "%", most=5)
            # From where the budget is full, for which three steps may be too few.
            report("prompt.growth_by_later_steps", [_growth(sizes[1:])], "%", most=5)


def _growth(sizes: list[int]) -> float:
    """From the first to the last, in percent."""
    return (sizes[-1] / sizes[0] - 1) * 100


def _size(daemon: DaemonProcess, url: str, steps: int, program: str) -> int:
    """Tokens of the last prompt of a run of so many steps."""
    name = f"p{next(_names)}"
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent("main")
        agent.update(limits=Limits(steps=1_000, model_calls=1_000))
        # A channel of its own: what was said before is not what is measured.
        agent.chat(f"bench {name} {steps} {program}", name)
    return sum(map(tokens, last_prompt(url, name)))


if __name__ == "__main__":
    main()
