"""A channel whose messages come over HTTP: whatever can send a signed request can wake an agent.

A request is answered with 202 when its body is a message on the daemon's disk; with another status it is not,
and may be sent again. The same request sent twice is one message. It listens on this machine only: what comes
from elsewhere comes through a proxy, which has the certificate.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import logging
import time
from collections.abc import Callable

from aiohttp import web

from rlmd import errors
from rlmd.clients.channels.task import Channel
from rlmd.errors import InvalidInput, RlmdError

from .signed import Check

MOST_BYTES = 1 << 20
GRACE_SECONDS = 10.0
"""For requests under way when it stops."""
STATUS: tuple[tuple[type[RlmdError], int], ...] = (
    (errors.Unauthenticated, 401),
    (errors.InvalidInput, 400),
    (errors.TooLarge, 413),
    (errors.Exhausted, 429),
    (errors.Unavailable, 503),
    (errors.DeadlineExceeded, 503),
)
"""What a sender is told; anything else is 500."""

log = logging.getLogger("rlmd.bot")


class Webhook:
    """Takes requests, and says their bodies on a channel."""

    def __init__(
        self,
        channel: Channel,
        agent: str,
        secret: bytes,
        check: Check,
        sender: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._channel = channel
        self._agent = agent
        self._secret = secret
        self._check = check
        self._sender = sender
        self._now = now

    async def serve(self, host: str, port: int, listening: Callable[[str], None]) -> None:
        """Listen until this is cancelled.

        Args:
            listening: Is told the address, when requests are taken.

        Raises:
            InvalidInput: it is no address of this machine.
            OSError: somebody else has it.
        """
        check_local(host)
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_post("/", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE_SECONDS)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port)
            await site.start()
            where, bound = runner.addresses[0][:2]
            listening(f"http://{f'[{where}]' if ':' in where else where}:{bound}/")
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(await self._say(request), status=202)
        except RlmdError as error:
            status = next((number for kind, number in STATUS if isinstance(error, kind)), 500)
            log.log(logging.WARNING if status >= 500 else logging.INFO, "a request was refused: %s", error)
            told = {"error": error.reason, "field": error.field, "remedy": error.remedy}
            return web.json_response(told, status=status)

    async def _say(self, request: web.Request) -> dict[str, str]:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge as exc:
            raise errors.TooLarge(
                "The body is too large.", remedy=f"Send {MOST_BYTES:,} bytes at most."
            ) from exc
        id = self._check(self._secret, request.headers, body, self._now())
        try:
            text = body.decode()
        except UnicodeDecodeError as exc:
            raise InvalidInput("The body is not UTF-8.", remedy="Send text, such as JSON.") from exc
        name = hashlib.sha256(f"{self._channel.name}\0{id}".encode()).hexdigest()
        run = await self._channel.say(text, self._agent, sender=self._sender, request_id=name)
        return {"run": run.id}


def check_local(host: str) -> str:
    """An address of this machine alone.

    Raises:
        InvalidInput: it is none.
    """
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        remedy = "Use 127.0.0.1:PORT, and a proxy with a certificate in front of it."
        raise InvalidInput(f"{host} is not this machine alone.", field="listen", remedy=remedy)
    return host
