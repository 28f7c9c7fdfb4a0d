"""The client library, async: `async with rlmd.aio.connect() as client: ...`.

The library is written here; `scripts/unasync.py` makes `rlmd.clients.sync` from it.
"""

from rlmd.clients.channels.task import Channel

from .admin import Admin
from .agents import Agent
from .budgets import Budgets
from .client import Client, connect
from .hives import Hives
from .large import Reader
from .log import Log
from .memory import Memory
from .questions import Questions
from .runs import Run
from .schedules import Schedules

__all__ = [
    "Admin",
    "Agent",
    "Budgets",
    "Channel",
    "Client",
    "Hives",
    "Log",
    "Memory",
    "Questions",
    "Reader",
    "Run",
    "Schedules",
    "connect",
]
