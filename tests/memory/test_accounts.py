"""Users, tokens, tenancy, and requests that are sent twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from rlmd.errors import AlreadyExists, InvalidInput, NotFound, PreconditionFailed
from rlmd.memory.accounts import PREFIX
from rlmd.memory.records import EntryKind, Origin, RunLimits, RunState
from rlmd.memory.store import digest_of

from .host import START, Home, opened, writing


def test_secrets_are_nowhere_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "rlmd.db"
    secrets = []
    with opened(path) as home:
        for label in ("laptop", "phone"):
            _, secret = home.house.write(lambda a, label=label: a.create_token(home.user, label)).result()  # type: ignore[misc]
            secrets.append(secret)
        on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    on_disk += path.read_bytes()
    assert b"laptop" in on_disk
    for secret in secrets:
        assert secret.startswith(PREFIX)
        assert len(secret) > 40
        assert secret.removeprefix(PREFIX).encode() not in on_disk
    assert len(set(secrets)) == 2


def test_a_token_opens_until_it_expires_or_is_revoked(home: Home) -> None:
    house, user = home.house, home.user
    until = START + timedelta(hours=1)
    lasting, first = house.write(lambda a: a.create_token(user, "lasting")).result()
    expiring, second = house.write(lambda a: a.create_token(user, "expiring", expire_time=until)).result()
    for secret in (first, second):
        assert house.read(lambda a, secret=secret: a.authenticate(secret)) == user  # type: ignore[misc]
    for wrong in ("", first[:-1], first + "x", first.upper(), PREFIX, "\ud800"):
        assert house.read(lambda a, wrong=wrong: a.authenticate(wrong)) is None  # type: ignore[misc]

    home.clock.move(timedelta(hours=1))
    assert house.read(lambda a: a.authenticate(second)) is None
    assert house.read(lambda a: a.authenticate(first)) == user

    house.write(lambda a: a.revoke(user, lasting.id)).result()
    house.write(lambda a: a.revoke(user, lasting.id)).result()
    assert house.read(lambda a: a.authenticate(first)) is None
    listed = house.read(lambda a: a.tokens(user))
    assert [token.id for token in listed] == [expiring.id, lasting.id]
    assert listed[1].revoke_time == START + timedelta(hours=1)
    assert listed[0].expire_time == until
    assert house.read(lambda a: a.tokens(user, before=expiring.id, most=1)) == listed[1:]


def test_bad_tokens_and_users_are_refused(home: Home) -> None:
    house, user = home.house, home.user
    with pytest.raises(InvalidInput, match="passed"):
        house.write(lambda a: a.create_token(user, "late", expire_time=START)).result()
    with pytest.raises(AlreadyExists):
        house.write(lambda a: a.create_user("owner", administrator=False)).result()
    for name in ("", "Owner", "9lives", "a b", "a" * 64, "ü"):
        with pytest.raises(InvalidInput):
            house.write(lambda a, name=name: a.create_user(name, administrator=False)).result()  # type: ignore[misc]
    with pytest.raises(NotFound):
        house.read(lambda a: a.user("nobody"))


def test_a_token_of_another_cannot_be_revoked(home: Home) -> None:
    other = home.another_user("bob").user
    token, secret = home.house.write(lambda a: a.create_token(other, "theirs")).result()
    with pytest.raises(NotFound):
        home.house.write(lambda a: a.revoke(home.user, token.id)).result()
    assert home.house.read(lambda a: a.authenticate(secret)) == other


def test_two_users_see_nothing_of_each_other(home: Home) -> None:
    other = home.another_user("bob")
    other.submit(lambda tx: tx.agents.create("secret-agent")).result()
    other.submit(lambda tx: tx.space("main").set("plan", "theirs", writing())).result()
    other.submit(
        lambda tx: tx.log("main").add(
            channel="chat", sender="bob", text="psst", origin=Origin.OWNER, from_agent=False
        )
    ).result()
    run = other.submit(
        lambda tx: tx.runs.create(tx.agents.get("main"), kind="message", text="psst", limits=RunLimits())
    ).result()
    other.submit(lambda tx: tx.journal(run.id).add(EntryKind.STEP, {"code": "psst"}, step=1)).result()

    assert home.look(lambda space: space.names()) == []
    assert home.store.read(lambda tx: tx.log("main").recent()) == []
    assert home.store.read(lambda tx: tx.runs.page(children=True)) == []
    assert home.store.read(lambda tx: tx.counts()) == (1, 0, 0)
    assert [agent.name for agent in home.store.read(lambda tx: tx.agents.page())] == ["main"]
    for work in (
        lambda: home.look(lambda space: space.get("plan")),
        lambda: home.store.read(lambda tx: tx.space("secret-agent")),
        lambda: home.store.read(lambda tx: tx.log("secret-agent")),
        lambda: home.store.read(lambda tx: tx.runs.get(run.id)),
        lambda: home.store.read(lambda tx: tx.journal(run.id)),
        lambda: home.write(lambda tx: tx.agents.delete("secret-agent")),
    ):
        with pytest.raises(NotFound):
            work()
    assert other.read(lambda tx: tx.counts()) == (2, 1, 1)


def test_a_deleted_agent_is_gone_with_all_it_had(home: Home) -> None:
    run = home.write(
        lambda tx: tx.runs.create(tx.agents.get("main"), kind="message", text="hi", limits=RunLimits())
    )
    home.write(lambda tx: tx.journal(run.id).add(EntryKind.STEP, {"code": "x = '\ud800'"}, step=1))
    assert home.store.read(lambda tx: tx.journal(run.id).entries())[0].data == {"code": "x = '\ud800'"}
    home.edit(lambda space: space.set("plan", "x" * 100_000, writing()))
    with pytest.raises(PreconditionFailed, match="active"):
        home.write(lambda tx: tx.agents.delete("main"))
    home.write(lambda tx: tx.runs.end(run, RunState.DONE, result={"odd": "\ud800"}))
    assert home.store.read(lambda tx: tx.runs.get(run.id)).result == {"odd": "\ud800"}
    home.write(lambda tx: tx.agents.delete("main"))
    assert home.store.read(lambda tx: tx.counts()) == (0, 0, 0)
    home.house.sweep()
    with home.house.database.reading() as connection:
        for table in ("pieces", "variables", "versions", "runs", "events", "journal", "messages", "spaces"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0, table

    home.write(lambda tx: tx.agents.create("main"))
    assert home.look(lambda space: space.names()) == []


def test_a_request_is_done_once(home: Home) -> None:
    done: list[str] = []

    def ask(request_id: str, content: str) -> bytes:
        def work() -> bytes:
            done.append(content)
            if content == "fails":
                raise InvalidInput("no")
            return f"answer {len(done)}".encode()

        return home.write(lambda tx: tx.once(request_id, digest_of("Set", content.encode()), work))

    assert ask("one", "a") == b"answer 1"
    assert ask("one", "a") == b"answer 1"
    assert ask("two", "a") == b"answer 2"
    with pytest.raises(InvalidInput, match="another request"):
        ask("one", "b")
    assert done == ["a", "a"]

    for _ in range(2):
        with pytest.raises(InvalidInput, match="no"):
            ask("three", "fails")
    assert ask("three", "a") == b"answer 5", "a request that failed may be sent again"
    assert ask("", "a") == b"answer 6"
    assert ask("", "a") == b"answer 7"
    with pytest.raises(InvalidInput, match="request_id"):
        ask("x" * 129, "a")

    home.clock.move(timedelta(days=6))
    assert home.house.forget_requests().result() == 0
    home.clock.move(timedelta(days=2))
    assert home.house.forget_requests().result() == 3
    assert ask("one", "b") == b"answer 8"


def test_a_request_id_belongs_to_its_user(home: Home) -> None:
    other = home.another_user("bob")
    digest = digest_of("Set", b"")
    assert home.write(lambda tx: tx.once("one", digest, lambda: b"mine")) == b"mine"
    assert other.submit(lambda tx: tx.once("one", digest, lambda: b"theirs")).result() == b"theirs"
