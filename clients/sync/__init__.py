# Generated from clients/aio/__init__.py by scripts/unasync.py. Do not edit.
"""The client library: `with rlmd.connect() as client: ...`.

Made from `rlmd.clients.aio` by `scripts/unasync.py`.
"""

from rlmd.clients.channels.thread import Channel

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
