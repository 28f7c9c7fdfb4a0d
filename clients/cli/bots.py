"""bot: telegram, discord, webhook, pair, list, unpair."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rlmd.clients.bots.book import Book
from rlmd.errors import InvalidInput, PreconditionFailed

from . import out
from .base import App, Group, agent_option, pass_app

if TYPE_CHECKING:
    from rlmd.clients.aio import Client
    from rlmd.clients.bots.wire import Wire

TELEGRAM = "https://api.telegram.org"
FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(
    cls=Group,
    examples="""
        rlmd bot telegram --token-file telegram.token
        rlmd bot pair ABCD-EFGH --as ann
        rlmd bot list
        rlmd bot webhook --channel builds --secret-file hook.secret
    """,
)
def bot() -> None:
    """Telegram and Discord, whose people are channels; webhooks."""


@bot.command(examples="rlmd bot telegram --token-file telegram.token")
@click.option("--token-file", type=FILE, required=True, help="The file that holds the bot's token.")
@click.option("--api", default=TELEGRAM, show_default=True, metavar="URL", help="Where the Bot API is.")
@agent_option
@pass_app
def telegram(app: App, token_file: Path, api: str, agent: str) -> None:
    """Be a bot on Telegram until Ctrl-C. Strangers are refused, and given a code for `rlmd bot pair`."""

    secret = secret_in(token_file, "token_file")

    async def work(client: Client) -> None:
        from rlmd.clients.bots.telegram import Telegram

        await _carry(app, client, Telegram(secret, api), agent)

    _serve(app, "telegram", agent, work)


@bot.command(examples="rlmd bot discord --token-file discord.token")
@click.option("--token-file", type=FILE, required=True, help="The file that holds the bot's token.")
@click.option("--proxy", metavar="URL", help="The HTTP proxy by which Discord is reached, if there is one.")
@agent_option
@pass_app
def discord(app: App, token_file: Path, proxy: str | None, agent: str) -> None:
    """Be a bot on Discord until Ctrl-C. Strangers are refused, and given a code for `rlmd bot pair`."""
    secret = secret_in(token_file, "token_file")

    async def work(client: Client) -> None:
        from rlmd.clients.bots.discord import Discord

        await _carry(app, client, Discord(secret, app.settings.data, proxy), agent)

    _serve(app, "discord", agent, work)


@bot.command(
    examples="""
        rlmd bot webhook --channel builds --secret-file hook.secret
        rlmd bot webhook --channel github --secret-file hook.secret --scheme github --listen 127.0.0.1:9000
    """
)
@click.option("--channel", required=True, help="The channel on which requests are said.")
@click.option(
    "--secret-file", type=FILE, required=True, help="The file that holds the secret of the signatures."
)
@click.option(
    "--scheme",
    type=click.Choice(["standard", "github"]),
    default="standard",
    show_default=True,
    help="How requests are signed: as Standard Webhooks says, or as GitHub does.",
)
@click.option("--listen", default="127.0.0.1:8421", show_default=True, metavar="HOST:PORT", help="Where.")
@click.option("--sender", default="", metavar="NAME", help="Who says it; else the user.")
@click.option("--trusted", is_flag=True, help="Take what they say for your word, not for text from outside.")
@agent_option
@pass_app
def webhook(
    app: App,
    channel: str,
    secret_file: Path,
    scheme: str,
    listen: str,
    sender: str,
    trusted: bool,
    agent: str,
) -> None:
    """Take signed HTTP requests until Ctrl-C, and say their bodies to an agent."""
    from rlmd.clients.bots.signed import WAYS, key

    secret = key(secret_in(secret_file, "secret_file"))
    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        remedy = "Give an address such as 127.0.0.1:8421."
        raise InvalidInput(f"{listen!r} is no address.", field="listen", remedy=remedy)

    async def work(client: Client) -> None:
        from rlmd.clients.bots.webhook import Webhook

        async with client.channel(channel, external=not trusted) as connected:
            await connected.start()
            hook = Webhook(connected, agent, secret, WAYS[scheme], sender)

            def listening(where: str) -> None:
                out.note(f"Requests to {where} are said on channel {channel}. Stop it with Ctrl-C.")

            await hook.serve(host.strip("[]"), int(port), listening)

    _serve(app, "webhook", agent, work)


@bot.command(
    examples="""
        rlmd bot pair ABCD-EFGH --as ann
        rlmd bot pair ABCD-EFGH --as neighbour --external
    """
)
@click.argument("code")
@click.option(
    "--as", "channel", default="", metavar="CHANNEL", help="The channel to be; else made of the name."
)
@click.option("--external", is_flag=True, help="Take what they say for text from outside, not for your word.")
@pass_app
def pair(app: App, code: str, channel: str, external: bool) -> None:
    """Let somebody in who was given a code, as a channel of their own."""
    person = Book(app.settings.data).let_in(code, channel, external=external)
    if app.json:
        out.print_json(person)
    else:
        out.say(f"{person.name} ({person.bot}, {person.id}) is channel {person.channel} from now on.")


@bot.command("list", examples="rlmd bot list --json")
@pass_app
def list_(app: App) -> None:
    """Who was let in, and who waits to be."""
    book = Book(app.settings.data)
    people, strangers = book.people(), book.strangers()
    if app.json:
        out.print_json({"people": people, "strangers": strangers})
        return
    rows = [(each.bot, each.id, each.name, each.channel, "") for each in people]
    rows += [(each.bot, each.id, each.name, "", each.code) for each in strangers]
    out.table(("bot", "id", "name", "channel", "code"), rows, empty="Nobody has written to a bot yet.")


@bot.command(examples="rlmd bot unpair telegram 12345")
@click.argument("bot")
@click.argument("id")
@pass_app
def unpair(app: App, bot: str, id: str) -> None:
    """Let somebody in no longer; the bot and the id are those of `rlmd bot list`."""
    person = Book(app.settings.data).shut_out(bot, id)
    if app.json:
        out.print_json(person)
    else:
        out.say(f"{person.name} ({person.bot}, {person.id}) is no longer channel {person.channel}.")


def secret_in(path: Path, field: str) -> str:
    """The one word that a file holds. Raises InvalidInput: it holds none, or more."""
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        remedy = "Name a file that holds it, and nothing else."
        raise InvalidInput(f"{path} cannot be read: {exc}.", field=field, remedy=remedy) from exc
    if not text or not text.isprintable() or " " in text:
        raise InvalidInput(f"{path} does not hold one word.", field=field, remedy="Put it there, alone.")
    return text


def _serve(app: App, extra: str, agent: str, work: Callable[[Client], Awaitable[None]]) -> None:
    """Run a bot here, until Ctrl-C or SIGTERM; then what is under way gets to its end."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # What this library warns of is either told by us, or has no meaning here.
    logging.getLogger("discord").setLevel(logging.CRITICAL)
    with app.client() as client:
        client.agent(agent).get()
    try:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(_run(app, work))
    except ImportError as exc:
        remedy = f"pip install 'rlmd[{extra}]'"
        raise PreconditionFailed(f"A bot of this kind needs {exc.name}.", remedy=remedy) from exc


async def _run(app: App, work: Callable[[Client], Awaitable[None]]) -> None:
    from rlmd.clients.aio import connect

    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with await connect(data=app.settings.data) as client:
        await work(client)


async def _carry(app: App, client: Client, wire: Wire, agent: str) -> None:
    from rlmd.clients.bots.bot import Bot

    out.note(f"The {wire.name} bot runs. Stop it with Ctrl-C.")
    await Bot(client, wire, Book(app.settings.data), agent).serve()
