"""Files and exports of chats as variables: pure, nothing here asks a daemon.

    file                                     becomes
    .json, an export of chats                a text a session, `chats/TITLE/DATE-...`
    .json, anything else                     its data, `inbox/PATH`
    .jsonl .ndjson                           a list of its lines
    .csv .tsv                                a list of its rows, each a dict
    .pdf                                     its text
    .txt, an export of WhatsApp              a text a day, `chats/TITLE/DATE-whatsapp`
    anything else that is UTF-8              a text, `inbox/PATH`

Start at `find`, which lists files, and `Reader`, which reads one. Formats have a module each:
`sessions` (the general form, LoCoMo), `chatgpt`, `telegram`, `whatsapp`, `tables`, `pdf`. None of them
stops at what it cannot take: that comes out as a `Problem`, and the rest is read.
"""

from __future__ import annotations

from .find import find
from .reader import Reader
from .records import DateOrder, Entry, Item, Options, Problem, Source

__all__ = ["DateOrder", "Entry", "Item", "Options", "Problem", "Reader", "Source", "find"]
