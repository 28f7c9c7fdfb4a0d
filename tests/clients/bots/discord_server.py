"""Discord on this machine: its HTTP API and its gateway, as far as a bot in direct messages needs them.

It keeps what the bot did, lets people write and press, and can drop the gateway's connections.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

SECONDS = 30.0
TOKEN = "MTIz.secret"
HOSTS = ("discord.com", "gateway.discord.gg", "cdn.discordapp.com")
BOT = {
    "id": "900",
    "username": "mind",
    "discriminator": "0",
    "avatar": None,
    "bot": True,
    "global_name": "Mind",
}
_ids = itertools.count(5_000_000_000_000_000)
_TIME = "2026-11-01T12:00:00.000000+00:00"


def user(id: int) -> dict[str, Any]:
    name = {1: "Ann", 2: "Bob"}[id]
    return {
        "id": str(id),
        "username": name.lower(),
        "discriminator": "0",
        "avatar": None,
        "global_name": name,
    }


def _json(data: Any) -> web.Response:
    # The type alone, as the service sends it.
    return web.Response(body=json.dumps(data).encode(), content_type="application/json")


class DiscordServer:
    """The service, and everybody who uses it. The methods of people may be called from any thread."""

    def __init__(self) -> None:
        self.messages: dict[int, list[dict[str, Any]]] = {}
        """All messages of each person's private channel, oldest first."""
        self.responses: list[dict[str, Any]] = []
        """What the bot said to presses."""
        self.files: dict[str, bytes] = {}
        self.loop: asyncio.AbstractEventLoop | None = None
        self._sockets: list[web.WebSocketResponse] = []
        self._sequence = itertools.count(1)
        self._change = threading.Condition()
        self.app = web.Application()
        self.app.add_routes(
            [
                web.get("/api/v10/users/@me", self._me),
                web.get("/api/v10/oauth2/applications/@me", self._application),
                web.post("/api/v10/users/@me/channels", self._open),
                web.get("/api/v10/channels/{id}/messages", self._history),
                web.post("/api/v10/channels/{id}/messages", self._send),
                web.patch("/api/v10/channels/{id}/messages/{message}", self._edit),
                web.post("/api/v10/interactions/{id}/{token}/callback", self._respond),
                web.get("/files/{name}", self._file),
                web.get("/", self._gateway),
            ]
        )

    # -- people -----------------------------------------------------------------------------------

    def says(self, person: int, text: str, *, told: bool = True, guild: str = "", **files: bytes) -> None:
        """Somebody writes to the bot; it is told, unless the gateway loses that."""
        message = self._message(person, user(person), text)
        for name, data in files.items():
            name = name.replace("_", ".")
            self.files[name] = data
            url = f"https://cdn.discordapp.com/files/{name}"
            found = {"id": str(next(_ids)), "filename": name, "size": len(data), "url": url, "proxy_url": url}
            message["attachments"].append(found)
        if not guild:
            self.messages.setdefault(person, []).append(message)
        if told:
            self._dispatch("MESSAGE_CREATE", {**message, **({"guild_id": guild} if guild else {})})

    def presses(self, person: int, message: dict[str, Any], number: int) -> None:
        """Somebody presses a button of a message."""
        rows = message["components"]
        buttons = [each for row in rows for each in row["components"]]
        data = {"custom_id": buttons[number]["custom_id"], "component_type": 2}
        channel = {"id": str(10 + person), "type": 1, "last_message_id": None, "flags": 0}
        given = {"id": str(next(_ids)), "application_id": "900", "type": 3, "token": "t", "version": 1}
        given |= {"data": data, "user": user(person), "message": message, "channel": channel}
        given |= {"channel_id": channel["id"], "entitlements": [], "authorizing_integration_owners": {}}
        self._dispatch("INTERACTION_CREATE", {**given, "attachment_size_limit": 1})

    def texts(self, person: int) -> list[str]:
        """What the bot said to somebody."""
        return [each["content"] for each in self.messages.get(person, ()) if each["author"] == BOT]

    def asked(self, person: int) -> dict[str, Any]:
        """The newest message of the bot."""
        return [each for each in self.messages[person] if each["author"] == BOT][-1]

    def wait(self, condition: Callable[[], object]) -> None:
        """Wait until something is so; it is looked at when the bot has done anything."""
        with self._change:
            assert self._change.wait_for(condition, SECONDS), (self.messages, self.responses)

    @property
    def connected(self) -> bool:
        """Whether the bot is there to be told."""
        return bool(self._sockets)

    def drop(self) -> None:
        """Cut all connections of the gateway."""
        assert self.loop is not None
        for socket in self._sockets:
            asyncio.run_coroutine_threadsafe(socket.close(code=4000), self.loop).result(SECONDS)

    # -- the API ----------------------------------------------------------------------------------

    async def _me(self, request: web.Request) -> web.Response:
        self._check(request)
        return _json(BOT)

    async def _application(self, request: web.Request) -> web.Response:
        self._check(request)
        told = {"id": "900", "name": "mind", "description": "", "icon": None, "bot_public": False, "flags": 0}
        more = {
            "bot_require_code_grant": False,
            "verify_key": "",
            "summary": "",
            "owner": user(1),
            "team": None,
        }
        return _json({**told, **more})

    async def _open(self, request: web.Request) -> web.Response:
        self._check(request)
        person = int((await request.json())["recipient_id"])
        told = {"id": str(10 + person), "type": 1, "recipients": [user(person)], "last_message_id": None}
        return _json(told)

    async def _history(self, request: web.Request) -> web.Response:
        self._check(request)
        after, most = int(request.query["after"]), int(request.query["limit"])
        found = [each for each in self._of(request) if int(each["id"]) > after][:most]
        return _json(list(reversed(found)))

    async def _send(self, request: web.Request) -> web.Response:
        self._check(request)
        given = await request.json()
        assert 0 < len(given["content"]) <= 2000
        message = self._message(int(request.match_info["id"]) - 10, BOT, given["content"])
        message["components"] = given.get("components") or []
        with self._change:
            self._of(request).append(message)
            self._change.notify_all()
        return _json(message)

    async def _edit(self, request: web.Request) -> web.Response:
        self._check(request)
        given = await request.json()
        (message,) = [each for each in self._of(request) if each["id"] == request.match_info["message"]]
        with self._change:
            message.update(content=given["content"], components=given["components"])
            self._change.notify_all()
        return _json(message)

    async def _respond(self, request: web.Request) -> web.Response:
        with self._change:
            self.responses.append(await request.json())
            self._change.notify_all()
        if request.query.get("with_response") in ("1", "true", "True"):
            interaction = {"id": request.match_info["id"], "type": 3, "response_message_loading": False}
            interaction |= {"response_message_ephemeral": True, "activity_instance_id": None}
            return _json({"interaction": interaction, "resource": None})
        return web.Response(status=204)

    async def _file(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.match_info["name"]])

    def _check(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bot {TOKEN}":
            text = '{"message": "401: Unauthorized", "code": 0}'
            raise web.HTTPUnauthorized(text=text, content_type="application/json")

    def _of(self, request: web.Request) -> list[dict[str, Any]]:
        return self.messages.setdefault(int(request.match_info["id"]) - 10, [])

    # -- the gateway ------------------------------------------------------------------------------

    async def _gateway(self, request: web.Request) -> web.WebSocketResponse:
        self.loop = asyncio.get_running_loop()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"op": 10, "d": {"heartbeat_interval": 40_000}, "s": None, "t": None})
        async for received in socket:
            if received.type is not WSMsgType.TEXT:
                continue
            given = received.json()
            match given["op"]:
                case 1:
                    await socket.send_json({"op": 11, "d": None, "s": None, "t": None})
                case 2:
                    assert given["d"]["token"] == TOKEN
                    ready = {"v": 10, "user": BOT, "guilds": [], "session_id": "s", "private_channels": []}
                    ready["resume_gateway_url"] = "wss://gateway.discord.gg/"
                    ready["application"] = {"id": "900", "flags": 0}
                    await self._join(socket, "READY", ready)
                case 6:
                    await self._join(socket, "RESUMED", {})
        self._sockets.remove(socket)
        return socket

    async def _join(self, socket: web.WebSocketResponse, event: str, data: dict[str, Any]) -> None:
        await socket.send_json({"op": 0, "t": event, "s": next(self._sequence), "d": data})
        with self._change:
            self._sockets.append(socket)
            self._change.notify_all()

    def _dispatch(self, event: str, data: dict[str, Any]) -> None:
        told = {"op": 0, "t": event, "s": next(self._sequence), "d": data}
        for socket in self._sockets:
            assert self.loop is not None
            asyncio.run_coroutine_threadsafe(socket.send_json(told), self.loop).result(SECONDS)

    def _message(self, person: int, author: dict[str, Any], text: str) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "tts": False,
            "pinned": False,
            "mention_everyone": False,
            "type": 0,
            "flags": 0,
        }
        lists: dict[str, list[Any]] = {
            name: [] for name in ("mentions", "mention_roles", "attachments", "embeds", "components")
        }
        said = {"id": str(next(_ids) << 4), "channel_id": str(10 + person), "author": author, "content": text}
        return {**said, **plain, **lists, "timestamp": _TIME, "edited_timestamp": None}
