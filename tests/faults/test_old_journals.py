"""Runs that older versions have left on disk go on where they were, or are the same when they are done again.

The databases are those of releases, made by scripts/record_journals.py.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import zstandard

import rlmd
from tests.daemon_process import DaemonProcess, model_env
from tests.house.tree import ROOT
from tests.model_server import ModelServer

JOURNALS = sorted(path for path in (ROOT / "tests/fixtures/journals").iterdir() if path.is_dir())
SECONDS = 30


def test_there_are_some() -> None:
    assert JOURNALS


@pytest.mark.parametrize("folder", JOURNALS, ids=lambda folder: folder.name)
def test_runs_of_an_older_version_go_on(folder: Path, tmp_path: Path, model_server: ModelServer) -> None:
    stories: list[dict[str, Any]] = json.loads((folder / "story.json").read_text())
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    for packed in folder.glob("*.zst"):
        (data / packed.stem).write_bytes(zstandard.ZstdDecompressor().decompress(packed.read_bytes()))
    model_server.always("LATE")
    with DaemonProcess(data, env=model_env(model_server)) as daemon, rlmd.connect(data=data) as client:
        for story in stories:
            lives_on(client, story)
        assert len(model_server.requests) == 1, "only what was under way is asked for again"
        daemon.restart()
        for story in stories:
            for run in client.agent(story["agent"]).runs(children=True):
                again = client.agent(story["agent"]).run(run.id).replay()
                assert again.equal, f"{story['agent']}: {again.difference}"


def lives_on(client: rlmd.Client, story: dict[str, Any]) -> None:
    """The run of a story comes to its end, as it would have then."""
    agent = client.agent(story["agent"])
    (run,) = agent.runs()
    end = time.monotonic() + SECONDS
    while not (found := agent.run(run.id).get()).state.ended:
        assert time.monotonic() < end, found
        for question in client.questions.list(agent=story["agent"]):
            client.questions.answer(question.id, story["answers"][question.text])
        time.sleep(0.02)
    assert found.state == ("failed" if story["left"] == "failed" else "done"), found.reason
    asked = {*story.get("answers", ()), *story.get("early", ())}
    said = [message.text for message in agent.log.recent(20) if message.from_agent]
    said = ["".join(text.split()) for text in said if text.split(" (")[0] not in asked]
    assert said == ["".join(text.split()) for text in story["said"]]
    for name, value in story.get("memory", {}).items():
        assert agent.memory.get(name) == value
