"""Telegram's Bot API on a socket of this machine: what a bot asks for over HTTP, and people who write to it.

A real HTTP server, which knows what the API's documentation says of the methods that a bot uses: long polling
with offsets, messages with buttons, files. It keeps what the bot did, and can fail as the API does.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

SECONDS = 30.0
TOKEN = "4711:AbCdEf"
_ids = itertools.count(500)
"""Of updates: those of one bot never repeat, and neither do they over the tests of a daemon."""


class TelegramServer:
    """The API, and everybody who uses it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        """Messages of the bot, as they are now, in order."""
        self.answered: list[dict[str, Any]] = []
        """What was said about pressed buttons."""
        self.failures: deque[tuple[int, dict[str, Any]]] = deque()
        """What the next messages fail with: a status, and more of the answer."""
        self.files: dict[str, bytes] = {}
        self._updates: list[dict[str, Any]] = []
        self._change = threading.Condition()
        self._closed = False
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    # -- people -----------------------------------------------------------------------------------

    def says(self, user: int, text: str, *, kind: str = "private", **more: Any) -> None:
        """Somebody writes to the bot."""
        message = {
            "message_id": 1000 + len(self._updates),
            "date": 1_790_000_000,
            "chat": {"id": user if kind == "private" else -99, "type": kind},
            "from": _user(user),
            **({"text": text} if text else {}),
            **more,
        }
        self._update(message=message)

    def sends(self, user: int, name: str, data: bytes, caption: str = "") -> None:
        """Somebody sends a file."""
        id = f"f{len(self.files)}"
        self.files[id] = data
        document = {"file_id": id, "file_unique_id": id, "file_name": name, "file_size": len(data)}
        self.says(user, "", document=document, caption=caption)

    def presses(self, user: int, message: dict[str, Any], number: int) -> None:
        """Somebody presses a button of a message."""
        data = message["reply_markup"]["inline_keyboard"][number][0]["callback_data"]
        query = {"id": "q1", "from": _user(user), "chat_instance": "1", "data": data}
        self._update(callback_query=query)

    def wait(self, condition: Callable[[], object]) -> None:
        """Wait until something is so; it is looked at when the bot has done anything."""
        with self._change:
            assert self._change.wait_for(condition, SECONDS), self.sent

    def texts(self, user: int) -> list[str]:
        """What the bot said to somebody."""
        return [each["text"] for each in self.sent if each["chat"]["id"] == user]

    # -- the methods ------------------------------------------------------------------------------

    def call(self, method: str, given: dict[str, Any]) -> Any:
        """What a method gives."""
        with self._change:
            done: Any = getattr(self, f"_{method}")(given)
            self._change.notify_all()
            return done

    def _getMe(self, given: dict[str, Any]) -> Any:
        return {"id": 4711, "is_bot": True, "first_name": "Mind", "username": "mind_bot"}

    def _getUpdates(self, given: dict[str, Any]) -> Any:
        offset = int(given.get("offset", 0))

        def fresh() -> list[dict[str, Any]]:
            return [each for each in self._updates if each["update_id"] >= offset][: int(given["limit"])]

        self._change.wait_for(lambda: fresh() or self._closed, float(given.get("timeout", 0)))
        return fresh()

    def _sendMessage(self, given: dict[str, Any]) -> Any:
        if self.failures:
            raise Refused(*self.failures.popleft())
        assert 0 < len(given["text"].encode("utf-16-le")) // 2 <= 4096
        sent = {"message_id": len(self.sent) + 1, "date": 1_790_000_000, "text": given["text"]}
        sent["chat"] = {"id": int(given["chat_id"]), "type": "private"}
        if "reply_markup" in given:
            sent["reply_markup"] = json.loads(given["reply_markup"])
        self.sent.append(sent)
        return sent

    def _editMessageText(self, given: dict[str, Any]) -> Any:
        message = self.sent[int(given["message_id"]) - 1]
        assert message["chat"]["id"] == int(given["chat_id"])
        message["text"] = given["text"]
        message.pop("reply_markup", None)
        return message

    def _answerCallbackQuery(self, given: dict[str, Any]) -> Any:
        self.answered.append(given)
        return True

    def _getFile(self, given: dict[str, Any]) -> Any:
        name = given["file_id"]
        return {"file_id": name, "file_unique_id": name, "file_path": f"documents/{name}"}

    def _update(self, **update: Any) -> None:
        with self._change:
            self._updates.append({"update_id": next(_ids), **update})
            self._change.notify_all()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._server.shutdown()
        self._server.server_close()


class Refused(Exception):
    """The API does not do it."""

    def __init__(self, status: int, more: dict[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.more = more


def _user(id: int) -> dict[str, Any]:
    names = {1: "Ann", 2: "Bob", 3: "Ann"}
    return {"id": id, "is_bot": False, "first_name": names.get(id, "X"), "username": f"user{id}"}


class _Handler(BaseHTTPRequestHandler):
    api: TelegramServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        given = {name: values[-1] for name, values in parse_qs(body, keep_blank_values=True).items()}
        _, bot, method = self.path.split("/")
        if bot != f"bot{TOKEN}":
            self._answer(401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
            return
        try:
            self._answer(200, {"ok": True, "result": self.api.call(method, given)})
        except Refused as refused:
            told = {"ok": False, "error_code": refused.status, "description": "refused", **refused.more}
            self._answer(refused.status, told)

    def do_GET(self) -> None:
        data = self.api.files[self.path.rpartition("/")[2]]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _answer(self, status: int, data: dict[str, Any]) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # The bot may have ended while it waited.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return
