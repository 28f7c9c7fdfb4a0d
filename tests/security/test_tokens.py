"""A token's secret is shown once and kept nowhere: not on disk, not in a log, not in an answer."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.daemon.rpc.host import daemon


async def test_secret_is_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with daemon(tmp_path) as served:
            made = await served.alice.call("CreateToken", label="laptop")
            user = await served.alice.call("CreateUser", user_id="carol")
            async with served.client(made.secret) as laptop:
                await laptop.call("GetSelf")
                await laptop.refused("GetAgent", name="agents/none")
            listed = await served.alice.call("ListTokens")
            kept = on_disk(tmp_path)
    for secret in (made.secret, user.secret):
        assert len(secret) > 40
        assert secret not in caplog.text
        assert secret not in str(listed)
        assert secret.encode() not in kept
    assert b"laptop" in kept
    assert [token.label for token in listed.tokens] == ["laptop", "test"]


def on_disk(folder: Path) -> bytes:
    """All that a daemon has written so far."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
