"""A world in which every host is this machine: an HTTP proxy whose tunnels all lead to one server of a test.

Bots of services whose addresses are fixed reach it by their ordinary options: a proxy, and a certificate to
trust. So the library, its TLS and its protocol are all real. It runs on a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

SECONDS = 30.0


class Tunnel:
    """Serves an application as all the hosts that are named."""

    def __init__(self, folder: Path, hosts: Sequence[str], app: web.Application) -> None:
        self.certificate = folder / "cert.pem"
        """What whoever comes here has to trust."""
        self._key = folder / "key.pem"
        self._app = app
        self._port = 0
        self._end = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._begun: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="tunnel")
        names = ",".join(f"DNS:{host}" for host in hosts)
        made = ["-out", str(self.certificate), "-keyout", str(self._key)]
        about = ["-days", "2", "-subj", "/CN=tunnel", "-addext", f"subjectAltName={names}"]
        kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        subprocess.run(["openssl", "req", *kind, *about, *made], check=True, capture_output=True)

    @property
    def proxy(self) -> str:
        """The proxy's address."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._begun.result(SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(SECONDS)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self._key)
        runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        target = runner.addresses[0][1]

        async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                inner = await asyncio.open_connection("127.0.0.1", target)
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(_pour(reader, inner[1]), _pour(inner[0], writer))

        proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
        self._port = proxy.sockets[0].getsockname()[1]
        self._begun.set_result(None)
        await self._end.wait()
        proxy.close()
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
