"""Settings: which source wins, whence a value came, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlmd.errors import InvalidInput
from rlmd.settings import MAX_SOCKET_PATH, Settings, names_of


def load(data: Path, flags: dict[str, Any] | None = None, **env: str) -> Any:
    return Settings.load(flags or {}, {"RLMD_DATA": str(data), **env})


def test_later_sources_win_and_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('model = "file"\nsub_model = "file"\nlisten = "127.0.0.1:1"\n')
    settings, sources = load(tmp_path, {"listen": "[::1]:0"}, RLMD_SUB_MODEL="env", RLMD_LISTEN="127.0.0.1:2")
    assert (settings.model, settings.sub_model, settings.listen) == ("file", "env", "[::1]:0")
    assert sources["model"] == f"file {tmp_path / 'config.toml'}"
    assert sources["sub_model"] == "environment variable RLMD_SUB_MODEL"
    assert sources["listen"] == "flag"
    assert sources["max_steps"] == "default"


def test_several_models_are_a_text_or_a_list(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('model = ["first", "org/second:free"]\n')
    settings = load(tmp_path, RLMD_SUB_MODEL="a,b , a").settings
    assert names_of(settings.model) == ("first", "org/second:free")
    assert names_of(settings.sub_model) == ("a", "b")
    assert names_of("") == ()


def test_default_folder_follows_xdg() -> None:
    assert Settings.load({}, {"HOME": "/h"}).settings.data == Path("/h/.local/share/rlmd")
    assert Settings.load({}, {"HOME": "/h", "XDG_DATA_HOME": "/x"}).settings.data == Path("/x/rlmd")
    assert Settings.load({}, {"HOME": "/h", "XDG_DATA_HOME": "rel"}).settings.data == Path(
        "/h/.local/share/rlmd"
    )


def test_the_machine_has_a_zone() -> None:
    assert Settings.load({}, {"TZ": "Europe/Berlin"}).settings.timezone == "Europe/Berlin"
    assert Settings.load({}, {"TZ": "Mars/Base"}).settings.timezone


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("listen", "0.0.0.0:80"),
        ("listen", "127.0.0.1:70000"),
        ("listen", "127.0.0.1"),
        ("listen", "example.org:80"),
        ("embedder", "word2vec"),
        ("embedder", "openai:"),
        ("timezone", "Mars/Base"),
        ("timezone", "../../etc/passwd"),
        ("openai_base_url", "ftp://x"),
        ("model", "a\nb"),
        ("model", 3),
        ("model", ", ,"),
        ("model", "a, b, c, d, e, f"),
        ("sub_model", ["a", 3]),
        ("sub_model", ["a, b"]),
        ("log_level", "loud"),
        ("max_steps", 0),
        ("max_steps", "1e3"),
        ("max_steps", True),
        ("max_steps", 1.5),
        ("max_steps", float("nan")),
        ("model_timeout_seconds", "inf"),
        ("data", ""),
        ("data", "a\0b"),
        ("colour", "red"),
    ],
)
def test_refuses_and_names_field_and_source(name: str, value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        Settings.load({name: value}, {"HOME": "/h"})
    assert caught.value.field == name
    assert "flag" in caught.value.reason
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["model = ", "color = 1", 'data = "/x"', 'max_steps = "many"', "\udcff"])
def test_a_bad_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path)
    assert "config.toml" in str(caught.value)


def test_the_key_is_never_printed(tmp_path: Path) -> None:
    settings, _ = load(tmp_path, OPENAI_API_KEY="sk-secret")
    assert settings.openai_api_key == "sk-secret"
    assert "sk-secret" not in repr(settings)
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path, OPENAI_API_KEY="sk-\x07secret")
    assert "secret" not in str(caught.value)


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    short = Settings(data=tmp_path)
    long = Settings(data=tmp_path / ("x" * MAX_SOCKET_PATH))
    assert short.socket.parent == short.data
    assert len(str(long.socket)) <= MAX_SOCKET_PATH
    assert long.socket != Settings(data=tmp_path / ("y" * MAX_SOCKET_PATH)).socket
