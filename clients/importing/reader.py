"""Reads a file by what it is: its suffix says how, its content whether it is an export of chats."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .chatgpt import is_chatgpt, read_chatgpt
from .names import Names, file_name, slug
from .pdf import read_pdf
from .records import Item, Options, Problem, Read, Source
from .sessions import is_general, is_locomo, read_general, read_locomo
from .tables import parse, read_csv, read_json, read_json_lines
from .telegram import chats, read_telegram
from .text import PIECE, decode, first_odd, first_odd_in, is_marked
from .whatsapp import is_whatsapp, read_whatsapp

JSON_LINES = (".jsonl", ".ndjson")
TABLES = (".csv", ".tsv")
LARGE = 8 << 20
"""Bytes from which on a text is not held in memory."""
_FORMS: tuple[
    tuple[Callable[[Any], bool], Callable[[Mapping[str, Any], str, str, Options], Iterator[Item | Problem]]],
    ...,
] = ((is_general, read_general), (is_locomo, read_locomo), (is_chatgpt, read_chatgpt))
"""Forms of a conversation, and what reads them."""


class Reader:
    """Reads the files of one import, in which no two things get one name."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._names = Names()

    def read(self, source: Source) -> Read:
        """What is in a file, and what in it could not be taken."""
        own = str(source.path)
        try:
            for entry in _read(source, self._options):
                if isinstance(entry, Item):
                    owner = f"{source.path.resolve()}{entry.where.removeprefix(own)}"
                    yield dataclasses.replace(entry, name=self._names.claim(entry.name, owner))
                else:
                    yield entry
        except OSError as exc:
            yield Problem(where=own, reason=f"It cannot be read: {exc.strerror}.")


def _read(source: Source, options: Options) -> Read:
    suffix, where = source.path.suffix.lower(), str(source.path)
    if suffix == ".pdf":
        yield from read_pdf(source, options)
        return
    if source.size > LARGE and suffix not in (*JSON_LINES, *TABLES, ".json"):
        with source.path.open("rb") as file:
            head = file.read(PIECE)
        if not is_marked(head) and not (suffix == ".txt" and is_whatsapp(decode(head))):
            yield from _read_large(source, options)
            return
    text = decode(source.path.read_bytes())
    if not text.strip():
        yield Problem(where=where, reason="It is empty.")
    elif suffix in JSON_LINES:
        yield from read_json_lines(text, source, options)
    elif suffix in TABLES:
        yield from read_csv(text, source, options)
    elif suffix == ".txt" and is_whatsapp(text):
        yield from read_whatsapp(text, source, options)
    elif found := first_odd(text):
        yield Problem(where=source.at(found[0]), reason=found[1])
    elif suffix == ".json":
        yield from _read_json(text, source, options)
    else:
        name = file_name(options.files(), source.named)
        yield Item(name=name, value=text, where=where, time=source.time)


def _read_large(source: Source, options: Options) -> Read:
    """A text file that stays where it is until it is sent."""
    if found := first_odd_in(source.path):
        yield Problem(where=source.at(found[0]), reason=found[1])
        return
    name = file_name(options.files(), source.named)
    yield Item(name=name, value=source.path, where=str(source.path), time=source.time)


def _read_json(text: str, source: Source, options: Options) -> Read:
    where, stem = str(source.path), slug(source.path.stem) or "chat"
    try:
        data = parse(text)
    except ValueError as exc:
        line = getattr(exc, "lineno", None)
        yield Problem(where=source.at(line) if line else where, reason=f"Not JSON: {exc}.")
        return
    of_telegram = chats(data)
    conversations = of_telegram or (data if isinstance(data, list) else [data])
    if of_telegram is None and not any(accepts(one) for one in conversations for accepts, _ in _FORMS):
        yield from read_json(data, source, options)
        return
    for position, conversation in enumerate(conversations, 1):
        place = where if len(conversations) == 1 else f"{where}, conversation {position}"
        title = stem if len(conversations) == 1 else f"{stem}-{position}"
        if of_telegram is not None:
            yield from read_telegram(conversation, place, title, options)
            continue
        read = next((read for accepts, read in _FORMS if accepts(conversation)), None)
        if read is None:
            yield Problem(where=place, reason="Not a conversation, as the others of this file are.")
        else:
            yield from read(conversation, place, title, options)
