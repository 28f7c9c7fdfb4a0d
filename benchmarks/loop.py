"""What a run costs by itself: from a message in to the reply out, with a model that takes no time.

    python -m benchmarks.loop [--rounds 20] [--rlms-python VENV/bin/python]

A daemon process, a client in this one, and a scripted model in a third; everything is journalled and on
disk. `--rlms-python` names an interpreter that has `rlms` from PyPI, which is then measured on the same
model: a completion of two turns.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import subprocess
import tempfile
import textwrap
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import rlmd
from tests.daemon_process import DaemonProcess

from .figures import Cpu, report, timed
from .model import serving

MORE = 10
"""Steps by which the longer run is longer."""
_names = itertools.count(1)

_RLMS = """
import json, sys, time
from rlm import RLM
url, rounds, names = sys.argv[1] + "/v1", int(sys.argv[2]), iter(range(1_000_000))
for _ in range(rounds):
    began = time.perf_counter()
    rlm = RLM(backend="openai", backend_kwargs={"model_name": "bench", "api_key": "none", "base_url": url},
              environment="local", max_iterations=5)
    rlm.completion("x", root_prompt=f"bench p{next(names)} 2 rlms")
    print((time.perf_counter() - began) * 1000, flush=True)
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--rlms-python", help="an interpreter with rlms installed")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving() as url:
        env = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none", "RLMD_MODEL": "bench"}
        peer = _peer(given.rlms_python, url, given.rounds) if given.rlms_python else None
        with DaemonProcess(Path(folder) / "data", env=env) as daemon:
            _measure(daemon, url, given.rounds, peer)


def _measure(daemon: DaemonProcess, url: str, rounds: int, peer: float | None) -> None:
    cpu = Cpu(daemon.pid)
    bare = report("loop.bare_http", timed(lambda: _post(url), 5 * rounds), "ms")
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent("main")

        def run(steps: int, program: str) -> None:
            text = f"bench r{next(_names)} {steps} {program}"
            reply = agent.chat(text).text
            assert reply == "done", reply

        def measured(steps: int, program: str, rounds: int) -> tuple[list[float], list[float]]:
            run(steps, program)
            spent: list[float] = []
            with cpu.per(rounds, spent):
                taken = timed(lambda: run(steps, program), rounds, warm=0)
            return taken, spent

        taken, spent = measured(2, "set", rounds)
        fixed = report("loop.run_of_two_steps", taken, "ms", most=25, peer=peer)
        report("loop.run_of_two_steps.cpu", spent, "ms")
        taken, spent_long = measured(2 + MORE, "set", rounds // 2)
        more = [(value - fixed) / MORE - bare for value in taken]
        report("loop.one_more_step_over_http", more, "ms", most=8)
        report("loop.one_more_step.cpu", [(spent_long[0] - spent[0]) / MORE], "ms")
        for program in ("reads", "writes"):
            taken, spent = measured(2, program, max(rounds // 5, 2))
            report(f"loop.thousand_{program}_in_a_step", [value - fixed for value in taken], "ms")
            report(f"loop.thousand_{program}_in_a_step.cpu", spent, "ms")


def _post(url: str) -> None:
    """A chat completion without any client library, on a new connection."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    body = {"model": "bench", "messages": [{"role": "user", "content": "hello"}]}
    connection.request("POST", "/chat/completions", json.dumps(body))
    connection.getresponse().read()
    connection.close()


def _peer(python: str, url: str, rounds: int) -> float:
    """The median completion of rlms, in milliseconds."""
    command = [python, "-c", textwrap.dedent(_RLMS), url, str(max(rounds // 4, 3))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return median(float(line) for line in done.stdout.split() if line[0].isdigit())


if __name__ == "__main__":
    main()
