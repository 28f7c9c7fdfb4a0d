"""budget, price: what may be used, and what models cost."""

from __future__ import annotations

import click

from rlmd.clients.money import dollars
from rlmd.clients.records import Budget
from rlmd.errors import InvalidInput

from . import out
from .base import App, Group, pass_app

PERIODS = click.Choice(["day", "month", "total"])
MEASURES = click.Choice(["money", "tokens", "model_calls", "steps", "seconds"])


@click.group(
    cls=Group,
    examples="""
        rlmd budget list
        rlmd budget set day money 2.50
        rlmd budget set total tokens 1000000 --agent researcher
        rlmd budget set month money 1 --schedule 3
        rlmd budget remove day tokens
    """,
)
def budget() -> None:
    """What agents may use. A run that meets a budget waits, and goes on when there is more."""


@budget.command("list", examples="rlmd budget list --json")
@click.option("--agent", "-a", default="", metavar="NAME", help="Only those that bound this agent.")
@pass_app
def list_budgets(app: App, agent: str) -> None:
    """Your budgets, and how much of each is used."""
    with app.client() as client:
        found = client.budgets.list(agent=agent)
    if app.json:
        out.print_json(found)
        return
    rows = [
        (_whose(each) or "all agents", each.period, each.measure, _amount(each, each.spent),
         _amount(each, each.limit), out.bar(each.spent, each.limit), out.local(each.end_time),
         "default" if each.by_default else "")
        for each in found
    ]  # fmt: skip
    heads = ("of", "period", "what", "used", "limit", "", "until", "")
    out.table(heads, rows, empty="Nothing is bounded.")


@budget.command(
    "set",
    examples="""
        rlmd budget set day money 2.50
        rlmd budget set month model_calls 10000
        rlmd budget set total tokens 1000000 --agent researcher
    """,
)
@click.argument("period", type=PERIODS)
@click.argument("what", type=MEASURES)
@click.argument("limit")
@click.option("--agent", "-a", default="", metavar="NAME", help="Only this agent; else all together.")
@click.option("--schedule", default="", metavar="ID", help="Only the runs of this schedule.")
@pass_app
def set_budget(app: App, period: str, what: str, limit: str, agent: str, schedule: str) -> None:
    """Bound what may be used in a day, a month or in all. Money is in dollars, time in seconds.

    Runs that wait for this budget go on if there is more now.
    """
    with app.client() as client:
        # click has checked the choices; mypy cannot know.
        made = client.budgets.set(period, what, _number(limit, what), agent=agent, schedule=schedule)  # type: ignore[arg-type]
    if app.json:
        out.print_json(made)
        return
    of = f" for {_whose(made)}" if made.agent else ""
    out.say(f"{_amount(made, made.limit)} {_each(period)}{of}; {_amount(made, made.spent)} used so far.")


@budget.command("remove", examples="rlmd budget remove day tokens")
@click.argument("period", type=PERIODS)
@click.argument("what", type=MEASURES)
@click.option("--agent", "-a", default="", metavar="NAME", help="That of this agent; else of all together.")
@click.option("--schedule", default="", metavar="ID", help="That of this schedule.")
@pass_app
def remove_budget(app: App, period: str, what: str, agent: str, schedule: str) -> None:
    """Take a budget away. Runs that wait for it go on."""
    with app.client() as client:
        client.budgets.remove(period, what, agent=agent, schedule=schedule)  # type: ignore[arg-type]
    if app.json:
        out.print_json({"removed": f"{period} {what}"})
    else:
        out.say(f"No bound on {what} {_each(period)} any more.")


@click.group(
    cls=Group,
    examples="""
        rlmd price list
        rlmd price set my-model --input 0.50 --output 1.50
        rlmd price set 'llama*' --input 0 --output 0
    """,
)
def price() -> None:
    """What models cost, in dollars for a million tokens."""


@price.command("list", examples="rlmd price list --json")
@pass_app
def list_prices(app: App) -> None:
    """Prices: those that you have set, then those that came with rlmd. The first that fits is taken."""
    with app.client() as client:
        found = client.budgets.prices()
    if app.json:
        out.print_json(found)
        return
    rows = [
        (p.model, f"{p.input:g}", f"{p.cached:g}", f"{p.output:g}", "yours" if p.own else "") for p in found
    ]
    out.table(("model", "input", "cached", "output", ""), rows)


@price.command("set", examples="rlmd price set my-model --input 0.50 --cached 0.05 --output 1.50")
@click.argument("model")
@click.option("--input", "sent", required=True, type=float, help="Of tokens sent.")
@click.option("--cached", type=float, help="Of tokens that the provider had cached; else as --input.")
@click.option("--output", "written", required=True, type=float, help="Of tokens that the model writes.")
@pass_app
def set_price(app: App, model: str, sent: float, cached: float | None, written: float) -> None:
    """Say what a model costs, for calls from now on. `*` in its name stands for any text."""
    with app.client() as client:
        made = client.budgets.set_price(model, input=sent, cached=cached, output=written)
    if app.json:
        out.print_json(made)
    else:
        out.say(f"{made.model}: ${made.input:g} sent, ${made.cached:g} cached, ${made.output:g} written.")


@price.command("remove", examples="rlmd price remove my-model")
@click.argument("model")
@pass_app
def remove_price(app: App, model: str) -> None:
    """Forget a price that you have set; one that came with rlmd holds again."""
    with app.client() as client:
        client.budgets.remove_price(model)
    if app.json:
        out.print_json({"removed": model})
    else:
        out.say(f"You say nothing about {model} any more.")


def _number(limit: str, what: str) -> float:
    text = limit.removeprefix("$").replace("_", "")
    try:
        return float(text) if what == "money" else int(text)
    except ValueError:
        wanted = "dollars, such as 2.50" if what == "money" else "a whole number"
        raise InvalidInput(f"{limit!r} is no number.", field="limit", remedy=f"Give {wanted}.") from None


def _amount(each: Budget, value: float) -> str:
    return dollars(value) if each.measure == "money" else f"{value:,.0f} {each.measure}"


def _whose(each: Budget) -> str:
    return f"schedule {each.schedule}" if each.schedule else each.agent


def _each(period: str) -> str:
    return "in all" if period == "total" else f"a {period}"
