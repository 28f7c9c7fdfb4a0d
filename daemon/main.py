"""The process: takes the data directory, opens everything in order, serves, and closes in reverse.

    lock -> database -> model, sandbox, index -> loop -> gRPC

A part is kept only when it has started; if one fails, those before it are closed and the reason is
told in one sentence. SIGTERM, SIGINT and SIGHUP drain: no new work, a grace for what is under way, the
end. The second of them cuts the grace short.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from importlib.metadata import version
from zoneinfo import ZoneInfo

import uvloop

from rlmd.errors import RlmdError
from rlmd.memory.accounts import Accounts
from rlmd.memory.agents import Agents
from rlmd.memory.clock import SystemClock
from rlmd.memory.search import Index
from rlmd.memory.source import Texts
from rlmd.memory.store import House
from rlmd.settings import Settings

from .embedding import BUILT_IN, embedder_of
from .feed import Feed
from .lock import DataLock
from .loop.engine import Engine
from .loop.equipment import Equipment
from .loop.snapshots import Snapshots
from .models.choose import choose
from .repl.sandbox import Sandbox
from .rpc.api import Backend, Facts
from .rpc.server import Server
from .schedules.bell import Bell
from .tidying import Tidying
from .upkeep import Upkeep

log = logging.getLogger(__name__)

OWNER = "owner"
"""The first user, made at the first start."""
GARBAGE = 5_000
"""Objects that come into being before the youngest are looked through."""
GRACE_SECONDS = 10.0
"""For runs under way when the daemon is told to stop."""


async def serve(settings: Settings, *, stop: asyncio.Event) -> None:
    """Be the daemon of `settings.data` until `stop` is set.

    Raises:
        RlmdError: it cannot start, and why.
    """
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(DataLock(settings.lock, version=version("rlmd")))
        clock = SystemClock()
        house = stack.enter_context(House.open(settings.database, clock))
        _first_user(house, settings)
        embedder = embedder_of(settings)
        if embedder is not None:
            stack.callback(embedder.close)
        index = Index(settings.index, house.database, embedder, Texts())
        index.start()
        stack.callback(index.close)
        model = choose(api_key=settings.openai_api_key or None, base_url=settings.openai_base_url or None)
        stack.push_async_callback(model.close)
        sandbox = await stack.enter_async_context(Sandbox(folder=settings.data / "sandbox"))
        log.info("sandbox workers run %s bubblewrap", "under" if sandbox.confined else "without")
        bell = Bell(settings.bell, clock)
        equipment = Equipment(
            clock=clock,
            zone=ZoneInfo(settings.timezone),
            settings=settings,
            model=model,
            sandbox=sandbox,
            searcher=index,
            feed=Feed(),
            snapshots=Snapshots(settings.data / "snapshots"),
            alarm=bell,
        )
        engine = Engine(house, equipment)
        facts = Facts(
            version=version("rlmd"),
            pid=os.getpid(),
            data=str(settings.data),
            model=model.label,
            model_name=settings.model or model.default,
            embedder=embedder.label if embedder else BUILT_IN,
            start_time=clock.now(),
        )
        backend = Backend(house=house, engine=engine, searcher=index, facts=facts)
        server = Server(backend, socket=settings.socket, listen=settings.listen)
        stack.enter_context(Upkeep(house))
        await engine.start()
        stack.push_async_callback(engine.stop, GRACE_SECONDS)
        quiet = timedelta(minutes=settings.tidy_idle_minutes)
        await stack.enter_async_context(Tidying(house, engine, quiet))
        bell.start(engine.ticker.ring, house.times)
        stack.callback(bell.stop)
        await server.start()
        stack.push_async_callback(server.stop)
        lock.announce(server.addresses)
        log.info("serving %s on %s", settings.data, ", ".join(server.addresses))
        _settle_in()
        await _until(stop, house)
        log.info("stopping")


def _settle_in() -> None:
    """Make calls cheap, now that all is loaded."""
    # A thread that computes lets those that serve calls go on after 1 ms, not 5.
    sys.setswitchinterval(0.001)
    # Modules and tables stay as long as the daemon: to look for garbage in them is a fifth of each call.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)


async def _until(stop: asyncio.Event, house: House) -> None:
    """Return when told to stop; raise when the database has failed and only a restart can help."""
    while not stop.is_set():
        if house.database.failure is not None:
            raise RuntimeError("the database failed") from house.database.failure
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1.0)


def _first_user(house: House, settings: Settings) -> None:
    """At the first start: a user with an agent `main`, and their token in a file that only they can read."""

    def make(accounts: Accounts) -> str | None:
        if accounts.users(most=1):
            return None
        user = accounts.create_user(OWNER, administrator=True)
        Agents(accounts.connection, accounts.now, user).create("main")
        return accounts.create_token(user, "made at the first start")[1]

    secret = house.write(make).result()
    if secret is None and not settings.token_file.exists():
        # The file was lost, or the first start was cut off between the database and the file.
        owner = house.read(lambda accounts: accounts.first_administrator())
        secret = house.write(
            lambda accounts: accounts.create_token(owner, "the token file was missing")
        ).result()[1]
    if secret is not None:
        scratch = settings.token_file.with_suffix(".new")
        scratch.unlink(missing_ok=True)
        with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(settings.token_file)


def main(settings: Settings) -> int:
    """Run the daemon in this process until a signal; returns the exit status."""
    # Whatever is written below the data directory is its owner's alone.
    os.umask(0o077)
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # Their lines per request would bury ours, and some carry what was said.
    for noisy in ("httpx2", "httpcore2", "openai", "alembic", "apscheduler"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        # A third less CPU for each call than asyncio's own loop.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            status = runner.run(_main(settings))
    except RlmdError as error:
        with contextlib.suppress(OSError):
            print(f"rlmd: {error}", file=sys.stderr)
        status = 1
    except Exception:
        log.exception("the daemon ends by a fault")
        status = 70
    for stream in (sys.stdout, sys.stderr):
        # The terminal may be gone.
        with contextlib.suppress(OSError):
            stream.flush()
    # The sandbox's library may abort the process while the interpreter winds down; all is closed by now.
    os._exit(status)


async def _main(settings: Settings) -> int:
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(settings, stop=stop))

    def told() -> None:
        if stop.is_set() and not serving.cancelling():
            # Runs stand as after a kill -9, which is safe; all parts are still closed.
            serving.cancel()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Whoever started us with `nohup` wants us to outlive the terminal.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, told)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    return 0
