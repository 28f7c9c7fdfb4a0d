"""Signed requests over HTTP as messages: the real server, and requests of the standard library's client."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import rlmd
from rlmd.clients.bots.signed import TOLERANCE, key, standard
from rlmd.clients.bots.webhook import check_local
from tests.clients.bots.conftest import BotProcess
from tests.clients.conftest import Cli
from tests.daemon_process import DaemonProcess

SECRET = b"0123456789abcdef0123456789abcdef"
WORD = "whsec_" + base64.b64encode(SECRET).decode()


@pytest.fixture(scope="module")
def word(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("hook") / "secret"
    file.write_text(WORD)
    return file


@pytest.fixture(scope="module")
def hook(shared: DaemonProcess, word: Path) -> Iterator[str]:
    """The address of one that takes Standard Webhooks."""
    arguments = ["--secret-file", str(word), "--listen", "127.0.0.1:0", "--sender", "ci", "--trusted"]
    with BotProcess(shared, "webhook", "--channel", "builds", *arguments) as bot:
        yield bot.said[0].split()[2]


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    place = urlsplit(url)
    assert place.hostname is not None
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    try:
        connection.request("POST", "/", body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def signed(id: str, body: bytes, *, secret: bytes = SECRET, at: float | None = None) -> dict[str, str]:
    """The headers that Standard Webhooks asks for."""
    sent = f"{time.time() if at is None else at:.0f}"
    mac = hmac.new(secret, f"{id}.{sent}.".encode() + body, hashlib.sha256)
    signature = base64.b64encode(mac.digest()).decode()
    return {"webhook-id": id, "webhook-timestamp": sent, "webhook-signature": f"v1,xxx v1,{signature}"}


def test_a_signed_request_wakes_the_agent_once(client: rlmd.Client, hook: str) -> None:
    body = b"/py reply(event.sender + ' on ' + event.channel)"
    headers = signed("m1", body)
    status, told = post(hook, body, headers)
    assert status == 202
    agent = client.agent("main")
    assert agent.run(told["run"]).wait().state == "done"
    assert post(hook, body, headers) == (202, told)
    run = [each for each in agent.log.recent(20) if each.run == told["run"]]
    assert [each.text for each in run if each.from_agent] == ["ci on builds"]
    assert "external" not in {each.origin for each in run}


def test_a_question_can_be_answered_over_http(client: rlmd.Client, hook: str) -> None:
    agent = client.agent("main")
    run = agent.send('/py reply("green: " + str(await ask("Green?", type="yesno", channel="builds")))')
    while not [each for each in client.questions.list() if each.channel == "builds"]:
        time.sleep(0.02)
    assert post(hook, b"yes", signed("m2", b"yes"))[0] == 202
    assert run.wait().state == "done"


@pytest.mark.parametrize(
    ("body", "headers", "status", "field"),
    [
        (b"hi", {}, 401, "webhook-id"),
        (b"hi", signed("m3", b"ho"), 401, "webhook-signature"),
        (b"hi", signed("m3", b"hi", secret=b"x" * 32), 401, "webhook-signature"),
        (b"hi", signed("m3", b"hi") | {"webhook-id": "m4"}, 401, "webhook-signature"),
        (b"hi", signed("m3", b"hi", at=1_000_000), 401, "webhook-timestamp"),
        (b"hi", signed("m3", b"hi", at=-5), 401, "webhook-timestamp"),
        (b"\xff", signed("m3", b"\xff"), 400, ""),
        (b" ", signed("m3", b" "), 400, "text"),
        (b"x" * 1_100_000, signed("m3", b"x" * 1_100_000), 413, ""),
    ],
    ids=range(9),
)
def test_what_is_not_taken(
    client: rlmd.Client, hook: str, body: bytes, headers: dict[str, str], status: int, field: str
) -> None:
    before = len(client.agent("main").log.recent(1000))
    found, told = post(hook, body, headers)
    assert (found, told["field"]) == (status, field)
    assert told["error"]
    assert told["remedy"]
    assert len(client.agent("main").log.recent(1000)) == before


def test_other_methods_and_paths_are_not_there(hook: str) -> None:
    place = urlsplit(hook)
    assert place.hostname is not None
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    for method, path, status in [("GET", "/", 405), ("POST", "/x", 404)]:
        connection.request(method, path)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


def test_as_github_signs(shared: DaemonProcess, client: rlmd.Client, word: Path) -> None:
    body = json.dumps({"action": "opened", "text": "grüß"}).encode()
    headers = {"X-Hub-Signature-256": f"sha256={hmac.new(SECRET, body, hashlib.sha256).hexdigest()}"}
    # What comes so is text from outside: it has an agent of its own.
    agent = client.create_agent("reader")
    arguments = [
        "--secret-file",
        str(word),
        "--listen",
        "localhost:0",
        "--scheme",
        "github",
        "--agent",
        "reader",
    ]
    with BotProcess(shared, "webhook", "--channel", "github", *arguments) as bot:
        url = bot.said[0].split()[2]
        first = post(url, body, headers | {"X-GitHub-Delivery": "d1"})
        assert first[0] == 202
        assert post(url, body, headers | {"X-GitHub-Delivery": "d1"}) == first
        assert post(url, body, headers | {"X-GitHub-Delivery": "d2"}) != first
        assert post(url, body + b" ", headers)[0] == 401
        assert post(url, body, {})[0] == 401
    heard = [each for each in agent.log.recent(50) if not each.from_agent]
    assert [(each.text, each.origin) for each in heard] == [(body.decode(), "external")] * 2


def test_many_at_once_are_all_said(client: rlmd.Client, hook: str) -> None:
    statuses: list[int] = []

    def send(number: int) -> None:
        body = f"/py log.recent({number})".encode()
        statuses.append(post(hook, body, signed(f"many-{number}", body))[0])

    threads = [threading.Thread(target=send, args=(number,)) for number in range(1, 21)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert statuses == [202] * 20
    heard = {each.text for each in client.agent("main").log.recent(200) if each.channel == "builds"}
    assert {f"/py log.recent({number})" for number in range(1, 21)} <= heard


def test_a_daemon_that_is_away_is_told_to_the_sender(daemon: DaemonProcess, word: Path) -> None:
    arguments = ["--secret-file", str(word), "--listen", "127.0.0.1:0"]
    with BotProcess(daemon, "webhook", "--channel", "builds", *arguments) as bot:
        url = bot.said[0].split()[2]
        daemon.kill()
        sent: list[tuple[int, Any]] = []
        thread = threading.Thread(target=lambda: sent.append(post(url, b"hi", signed("m", b"hi"))))
        thread.start()
        time.sleep(0.5)
        # It is back before the sender has lost patience: nothing needs to be sent again.
        daemon.start()
        thread.join()
        assert sent[0][0] == 202


@pytest.mark.parametrize(
    ("secret", "listen", "code", "field"),
    [
        ("short", "127.0.0.1:0", 2, "secret_file"),
        ("whsec_!!!", "127.0.0.1:0", 2, "secret_file"),
        (WORD, "0.0.0.0:0", 2, "listen"),
        (WORD, "example.org:80", 2, "listen"),
        (WORD, "127.0.0.1", 2, "listen"),
        (WORD, "127.0.0.1:99999", 2, "listen"),
    ],
)
def test_bad_settings_are_told(
    cli: Cli, tmp_path: Path, secret: str, listen: str, code: int, field: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(secret)
    done = cli("bot", "webhook", "--channel", "x", "--secret-file", file, "--listen", listen, "--json")
    told = json.loads(done.err)
    assert (done.code, told["field"]) == (code, field)


def test_signatures_are_good_for_some_minutes() -> None:
    assert key(WORD) == SECRET
    assert key("x" * 16) == b"x" * 16
    headers = signed("m", b"hi", at=1000)
    assert standard(SECRET, headers, b"hi", 1000 + TOLERANCE) == "m"
    with pytest.raises(rlmd.Unauthenticated):
        standard(SECRET, headers, b"hi", 1001 + TOLERANCE)
    for host in ("127.0.0.1", "localhost", "::1", "127.1.2.3"):
        assert check_local(host) == host
