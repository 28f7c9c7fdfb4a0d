"""The settings of the daemon and its clients: one frozen object, and where each value in it came from.

Later sources win: defaults < `<data>/config.toml` < environment < flags. `Settings.load` also says whence
each value came, which `rlmd config` prints. Nothing else in rlmd reads environment variables or the file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from .errors import InvalidInput

MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path on Linux, without the zero at its end."""

MAX_MODELS = 5
"""Names in `model` or `sub_model`: each that is asked may cost several tries."""

LOG_LEVELS = ("debug", "info", "warning", "error")

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Hosts that `listen` may name."""


class Loaded(NamedTuple):
    """Settings, and for each field whence its value came: `default`, `flag`, a variable or a file."""

    settings: Settings
    sources: Mapping[str, str]


def _text(default: str | None, env: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"env": env})


def _number(default: float, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the daemon and its clients go by. Make it with `Settings.load`, which checks every value."""

    data: Path = field(metadata={"env": "RLMD_DATA"})
    """The data directory: database, index, token, socket, log. Default: `$XDG_DATA_HOME/rlmd`."""

    listen: str | None = _text(None, "RLMD_LISTEN")
    """Also listen on TCP here, as `127.0.0.1:PORT` or `[::1]:PORT`. Loopback only; port 0: a free one."""

    openai_api_key: str = _text("", "OPENAI_API_KEY", secret=True)
    """Key of the model's provider. Secret: never printed. Without it the built-in rules are the model."""

    openai_base_url: str = _text("", "OPENAI_BASE_URL")
    """Address of an OpenAI-compatible provider, such as `http://127.0.0.1:8000/v1`. Empty means OpenAI's."""

    model: str = _text("", "RLMD_MODEL")
    """The provider's name of the model that writes steps. Empty means the daemon's choice.

    Several, as `first, second` (in the file also as a list): where one gives no answer, the next is asked."""

    sub_model: str = _text("", "RLMD_SUB_MODEL")
    """The model of `llm` and `rlm` calls, or several as in `model`. Empty means `model`."""

    embedder: str = _text("builtin", "RLMD_EMBEDDER")
    """How search knows meaning: `builtin` (by words and near spellings only), `openai:MODEL` (asks the
    provider), `local:/FOLDER` (a model in ONNX format) or `local:NAME` (a model that is fetched once)."""

    timezone: str = _text("UTC", "RLMD_TIMEZONE")
    """The owner's time zone, such as `Europe/Berlin`. `load` takes the machine's if nothing is said."""

    max_steps: int = _number(30, 1, 1_000)
    """Steps of a run."""

    max_depth: int = _number(2, 0, 8)
    """Levels of `rlm` below a run."""

    max_run_seconds: int = _number(1_800, 1, 86_400)
    """Wall time of a run, in seconds."""

    max_step_seconds: float = _number(60.0, 1, 500)
    """How long the program of one step may compute, in seconds; waiting does not count."""

    max_model_calls: int = _number(500, 1, 10_000)
    """Model calls of a run and its children together."""

    daily_money: float = _number(5.0, 0, 100_000)
    """Dollars a day for all agents of a user together, unless the user has set a budget; 0: no bound."""

    daily_tokens: int = _number(20_000_000, 0, 1_000_000_000_000)
    """The same in tokens, which also bounds models whose price nobody knows; 0: no bound."""

    model_timeout_seconds: float = _number(300.0, 1, 3_600)
    """How long one call of a model may take, in seconds."""

    prompt_tokens: int = _number(16_000, 6_000, 1_000_000)
    """Budget of a prompt, in tokens."""

    approval_channel: str = _text("chat", "RLMD_APPROVAL_CHANNEL")
    """Where you are asked whether a run that has read text from outside may do something of consequence."""

    tidy_idle_minutes: int = _number(60, 0, 10_080)
    """Minutes of silence after which an agent with news tidies its memory, once a day; 0: never by itself."""

    log_level: str = _text("info", "RLMD_LOG_LEVEL")
    """How much the daemon logs: `debug`, `info`, `warning` or `error`."""

    @property
    def database(self) -> Path:
        """The database: the truth."""
        return self.data / "rlmd.db"

    @property
    def index(self) -> Path:
        """Folder of the search index, derived from the database."""
        return self.data / "index"

    @property
    def bell(self) -> Path:
        """When schedules fire next, as APScheduler keeps it; derived from the database."""
        return self.data / "bell.db"

    @property
    def models(self) -> Path:
        """Folder of local models that were fetched by name."""
        return self.data / "models"

    @property
    def token_file(self) -> Path:
        """The first user's token, mode 0600."""
        return self.data / "token"

    @property
    def lock(self) -> Path:
        """Held by the daemon while it runs; JSON with its pid, version and addresses."""
        return self.data / "lock"

    @property
    def log_file(self) -> Path:
        """Log of a detached daemon."""
        return self.data / "daemon.log"

    @property
    def config_file(self) -> Path:
        """The settings file, if there is one."""
        return self.data / "config.toml"

    @property
    def socket(self) -> Path:
        """The daemon's socket: in the data directory, or in a runtime folder if that path were too long.

        The folder outside must be made with mode 0700 by who listens.
        """
        path = self.data / "rlmd.sock"
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
            return path
        digest = hashlib.blake2b(os.fsencode(self.data), digest_size=8).hexdigest()
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        folder = Path(runtime) / "rlmd" if runtime else Path(f"/tmp/rlmd-{os.getuid()}")
        return folder / f"{digest}.sock"

    @classmethod
    def load(cls, flags: Mapping[str, Any], env: Mapping[str, str]) -> Loaded:
        """Settings from all sources. A flag that is None and a variable that is empty are as if not given.

        Raises:
            InvalidInput: a value that cannot be; it names the field, whence it came and what is allowed.
        """
        names = [item.name for item in dataclasses.fields(cls)]
        values: dict[str, Any] = {"data": _default_data(env), "timezone": _machine_zone(env)}
        sources = dict.fromkeys(names, "default")

        def take(given: Mapping[str, tuple[Any, str]]) -> None:
            for name, (raw, source) in given.items():
                if name not in names:
                    there = ", ".join(names)
                    raise InvalidInput(
                        f"no such setting ({source}).", field=name, remedy=f"There are: {there}."
                    )
                values[name], sources[name] = _checked(name, raw, source), source

        outer = _from_environment(env)
        outer |= {name: (raw, "flag") for name, raw in flags.items() if raw is not None}
        take({"data": outer["data"]} if "data" in outer else {})
        take(_from_file(values["data"] / "config.toml"))
        take(outer)
        return Loaded(cls(**values), sources)


_FIELDS = {item.name: item for item in dataclasses.fields(Settings)}


def _default_data(env: Mapping[str, str]) -> Path:
    # XDG: a relative path there is to be ignored.
    base = env.get("XDG_DATA_HOME", "")
    home = Path(env.get("HOME") or Path.home())
    return (Path(base) if base.startswith("/") else home / ".local/share") / "rlmd"


def _machine_zone(env: Mapping[str, str]) -> str:
    """The name of the machine's time zone; UTC if it has none that can be found."""
    candidates = [env.get("TZ", "").lstrip(":")]
    with contextlib.suppress(OSError):
        candidates.append(os.path.realpath("/etc/localtime").partition("zoneinfo/")[2])
    with contextlib.suppress(OSError, UnicodeError):
        candidates.append(Path("/etc/timezone").read_text(encoding="ascii").strip())
    return next((name for name in candidates if name and _zone_exists(name)), "UTC")


def _zone_exists(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return False
    return True


def _from_environment(env: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    variables = {name: item.metadata["env"] for name, item in _FIELDS.items() if "env" in item.metadata}
    return {
        name: (env[variable], f"environment variable {variable}")
        for name, variable in variables.items()
        if env.get(variable)
    }


def _from_file(file: Path) -> dict[str, tuple[Any, str]]:
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as exc:
        raise InvalidInput(
            f"cannot be read: {exc}.", field=str(file), remedy="Correct the file, or move it away."
        ) from exc
    if "data" in given:
        raise InvalidInput(
            f"cannot be set in the file that lies in it ({file}).",
            field="data",
            remedy="Use RLMD_DATA or --data.",
        )
    return {name: (raw, f"file {file}") for name, raw in given.items()}


def _checked(name: str, raw: Any, source: str) -> Any:
    """The value of a field from what was given.

    Raises:
        InvalidInput: it is not allowed there.
    """
    try:
        if "low" in _FIELDS[name].metadata:
            return _check_number(_FIELDS[name], raw)
        if name in ("model", "sub_model") and isinstance(raw, list):
            raw = _joined(raw)
        if not isinstance(raw, str | Path) or not str(raw).isprintable():
            raise ValueError("a text of printable characters")
        return _check_text(name, str(raw).strip())
    except ValueError as exc:
        shown = "this value" if name == "openai_api_key" else repr(raw)
        raise InvalidInput(f"{shown} ({source}) is not allowed.", field=name, remedy=f"Give {exc}.") from None


def names_of(models: str) -> tuple[str, ...]:
    """The models that a text such as `first, second` names, in order, each once."""
    names = (" ".join(name.split()) for name in models.split(","))
    return tuple(dict.fromkeys(filter(None, names)))


def _joined(names: list[Any]) -> str:
    if not all(isinstance(name, str) and names_of(name) == (name,) for name in names):
        raise ValueError("the names of models, each a text without a comma")
    return ", ".join(names)


def _check_number(item: dataclasses.Field[Any], raw: Any) -> int | float:
    low, high = item.metadata["low"], item.metadata["high"]
    kind = int if isinstance(item.default, int) else float
    with contextlib.suppress(ValueError, TypeError):
        number: int | float = kind(raw)
        same = isinstance(raw, str) or (number == raw and not isinstance(raw, bool))
        if same and low <= number <= high:
            return number
    raise ValueError(f"{'a whole' if kind is int else 'a'} number from {low:,} to {high:,}")


def _check_text(name: str, text: str) -> Path | str | None:
    match name:
        case "data":
            if not text:
                raise ValueError("the path of a folder")
            return Path(os.path.abspath(os.path.expanduser(text)))
        case "model" | "sub_model" if len(names_of(text)) > MAX_MODELS or (text and not names_of(text)):
            raise ValueError(f"the name of a model, or up to {MAX_MODELS} with commas between them")
        case "listen":
            return _check_listen(text)
        case "openai_base_url" if text and not text.startswith(("http://", "https://")):
            raise ValueError("an address that begins with http:// or https://")
        case "embedder":
            return _check_embedder(text)
        case "timezone" if not _zone_exists(text):
            raise ValueError("a name such as Europe/Berlin or UTC")
        case "log_level" if text not in LOG_LEVELS:
            raise ValueError(f"one of {', '.join(LOG_LEVELS)}")
    return text


def _check_embedder(text: str) -> str:
    kind, colon, name = text.partition(":")
    if text in ("builtin", "lexical"):  # It was called so first.
        return "builtin"
    if kind == "local" and name.startswith("~"):
        name = os.path.expanduser(name)
    if not colon or kind not in ("openai", "local") or not name or name.startswith("."):
        raise ValueError("`builtin`, `openai:MODEL`, `local:/FOLDER` or `local:NAME`")
    return f"{kind}:{name}"


def _check_listen(text: str) -> str | None:
    if text in ("", "off"):
        return None
    host, _, port = text.rpartition(":")
    if host not in LOOPBACK or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65_535:
        raise ValueError("127.0.0.1:PORT or [::1]:PORT, or `off`; only this machine is served")
    return text
