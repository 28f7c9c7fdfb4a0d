"""A Discord bot between a real daemon and a Discord of this machine: HTTP, TLS and gateway are all spoken."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import rlmd
from tests.clients.bots.conftest import BotProcess
from tests.clients.bots.discord_server import HOSTS, TOKEN, DiscordServer
from tests.clients.bots.tunnel import Tunnel
from tests.clients.conftest import Cli, runner
from tests.daemon_process import DaemonProcess

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
ANN, BOB = 1, 2


@pytest.fixture
def service() -> DiscordServer:
    return DiscordServer()


@pytest.fixture
def tunnel(service: DiscordServer, tmp_path: Path) -> Iterator[Tunnel]:
    with Tunnel(tmp_path, HOSTS, service.app) as made:
        yield made


@pytest.fixture
def bot(
    shared: DaemonProcess, service: DiscordServer, tunnel: Tunnel, tmp_path: Path
) -> Iterator[BotProcess]:
    """A bot that knows Ann, as a channel of that name."""
    token = tmp_path / "discord.token"
    token.write_text(TOKEN)
    arguments = ["discord", "--token-file", str(token), "--proxy", tunnel.proxy]
    cli = runner(shared)
    with BotProcess(shared, *arguments, env={"SSL_CERT_FILE": str(tunnel.certificate)}) as made:
        service.wait(lambda: service.connected)
        pair(cli, service, ANN, "ann")
        # Files are text from outside, and programs that have seen them would ask first.
        cli("permit", "add", "ann.tell")
        cli("permit", "add", "ann.ask")
        yield made
    for row in cli("bot", "list").out.splitlines():
        cli("bot", "unpair", *row.split("\t")[:2])


def pair(cli: Cli, service: DiscordServer, person: int, channel: str) -> None:
    service.says(person, "hello")
    service.wait(lambda: service.texts(person))
    code = re.search(r"pair (\S+)$", service.texts(person)[-1])
    assert code is not None
    assert cli("bot", "pair", code[1], "--as", channel).code == 0
    service.wait(lambda: service.texts(person)[-1] == f"You are known now, as {channel}. Say something.")
    service.messages[person].clear()


def test_talk_with_files_and_long_texts(client: rlmd.Client, service: DiscordServer, bot: BotProcess) -> None:
    service.says(ANN, "/py reply(event.sender + ' on ' + event.channel)")
    service.wait(lambda: service.texts(ANN))
    assert service.texts(ANN) == ["Ann on ann"]
    service.says(ANN, "A list for you.", list_txt=b"bread")
    service.wait(lambda: len(service.texts(ANN)) == 2)
    heard = [each.text for each in client.agent("main").log.recent(20)]
    assert "A list for you.\n[file inbox/ann/list.txt, 5 bytes]" in heard
    assert client.agent("main").memory.get("inbox/ann/list.txt") == "bread"
    service.says(ANN, "/py reply(' '.join(['word'] * 900))")
    service.wait(lambda: len(service.texts(ANN)) == 5)
    assert " ".join(service.texts(ANN)[2:]) == " ".join(["word"] * 900)


def test_strangers_and_servers_are_not_heard(
    client: rlmd.Client, service: DiscordServer, bot: BotProcess
) -> None:
    before = len(client.agent("main").log.recent(1000))
    service.says(BOB, "Let me in.")
    service.wait(lambda: service.texts(BOB))
    service.says(ANN, "/py reply('on a server')", guild="77")
    service.says(ANN, "/py reply('in private')")
    service.wait(lambda: service.texts(ANN))
    assert service.texts(ANN) == ["in private"]
    assert "I do not know you" in service.texts(BOB)[0]
    assert len(client.agent("main").log.recent(1000)) == before + 2


def test_a_question_has_buttons(client: rlmd.Client, service: DiscordServer, bot: BotProcess) -> None:
    run = client.agent("main").send(
        '/py from channels import ann\nx = await ann.ask("Which?", ["tea", "milk"])'
    )
    service.wait(lambda: service.texts(ANN))
    asked = dict(service.asked(ANN))
    assert [each["label"] for row in asked["components"] for each in row["components"]] == ["tea", "milk"]
    service.presses(BOB, asked, 0)
    service.wait(lambda: service.responses)
    service.presses(ANN, asked, 1)
    service.wait(lambda: service.texts(ANN) == ["Which?\n→ milk (ann)"])
    assert run.wait().state == "done"
    assert service.asked(ANN)["components"] == []
    assert [each["type"] for each in service.responses] == [4, 6]


def test_nothing_is_lost_over_a_drop_and_a_kill(
    client: rlmd.Client, service: DiscordServer, bot: BotProcess
) -> None:
    service.says(ANN, "/py reply('one')")
    service.wait(lambda: service.texts(ANN) == ["one"])
    # The gateway does not tell of it, and is cut: what was said is found by reading on.
    service.says(ANN, "/py reply('two')", told=False)
    service.drop()
    service.wait(lambda: service.texts(ANN) == ["one", "two"])
    bot.kill()
    service.says(ANN, "/py reply('three')", told=False)
    service.says(ANN, "/py reply('four')", told=False)
    bot.start()
    service.wait(lambda: {"three", "four"} <= {*service.texts(ANN)})
    heard = [each.text for each in client.agent("main").log.recent(100) if each.channel == "ann"]
    assert all(heard.count(f"/py reply('{word}')") == 1 for word in ("one", "two", "three", "four"))


def test_a_bad_token_is_told(shared: DaemonProcess, tunnel: Tunnel, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("wrong")
    shared.env["SSL_CERT_FILE"] = str(tunnel.certificate)
    try:
        done = runner(shared)("bot", "discord", "--token-file", token, "--proxy", tunnel.proxy)
    finally:
        del shared.env["SSL_CERT_FILE"]
    assert done.code == 6
    assert "does not know this token" in done.err
