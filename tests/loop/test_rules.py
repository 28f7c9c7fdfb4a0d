"""Every case of the specification, over the real path."""

from __future__ import annotations

import pytest

import rlmd
from tests.daemon_process import SECRET, DaemonProcess
from tests.model_server import ModelServer, Status

from .cases import CASES
from .runner import Case, carry_out


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_rule(case: Case, house: DaemonProcess, mind: ModelServer) -> None:
    carry_out(case, house, mind)


@pytest.mark.parametrize("text", ["", "  \n", "a\ud800b"])
def test_a_message_that_cannot_be_is_refused(text: str, house: DaemonProcess, mind: ModelServer) -> None:
    before = len(mind.requests)
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent(f"refusing-{len(text)}-{text.isspace():d}-{ord(text[1:2] or '-')}")
        with pytest.raises(rlmd.InvalidInput, match="text"):
            agent.chat(text)
        assert not list(agent.log.recent(10))
        assert not agent.runs()
    assert len(mind.requests) == before


def test_the_person_is_told_why_the_model_failed(house: DaemonProcess, mind: ModelServer) -> None:
    mind.script([Status(402, "your credit is used up")], model="poor")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent("poor", model="poor")
        with pytest.raises(rlmd.ModelError, match="your credit is used up"):
            agent.chat("Hello")


def test_the_key_is_nowhere_on_disk(house: DaemonProcess) -> None:
    assert SECRET not in house.log
    for file in house.data.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file
