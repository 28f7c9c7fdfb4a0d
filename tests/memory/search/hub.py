"""A model hub on loopback that speaks as much of the Hugging Face protocol as fetching one model takes."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

REVISION = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves the files of `folder` as the only version of every model. `open` it when they may be had."""

    def __init__(self, folder: Path) -> None:
        self.files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        self.open = threading.Event()
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            def do_HEAD(self) -> None:
                hub.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path).path
        self.asked.append(path)
        file = path.partition(f"/resolve/{REVISION}/")[2]
        if not self.open.is_set():
            _send(request, 503, b"later")
        elif path.startswith("/api/models/"):
            _send(request, 200, json.dumps(self._tree() if "/tree/" in path else self._facts(path)).encode())
        elif file in self.files:
            data = self.files[file]
            _send(request, 200, data, {"ETag": f'"{_id(data)}"', "X-Repo-Commit": REVISION})
        else:
            _send(request, 404, b"", {"X-Error-Code": "EntryNotFound"})

    def _tree(self) -> list[dict[str, object]]:
        return [
            {"type": "file", "path": path, "size": len(data), "oid": _id(data)}
            for path, data in self.files.items()
        ]

    def _facts(self, path: str) -> dict[str, object]:
        name = "/".join(path.split("/")[3:5])
        siblings = [{"rfilename": file} for file in self.files]
        return {"id": name, "sha": REVISION, "siblings": siblings, "tags": [], "private": False}


def _id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _send(
    request: BaseHTTPRequestHandler, status: int, data: bytes, headers: dict[str, str] | None = None
) -> None:
    request.send_response(status)
    for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(data)
