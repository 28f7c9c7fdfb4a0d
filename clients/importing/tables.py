"""Data: a JSON file as it is, and tables (JSON lines, CSV) as a list of their records.

A record that cannot be taken costs only itself. A list that is too large for one value is cut into
`NAME/part-0001` and so on.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any, NoReturn

from rlmd.clients.values import to_value
from rlmd.errors import InvalidInput

from .names import file_name
from .records import Item, Options, Problem, Read, Source
from .text import is_text, lines, odd

PART_BYTES = 8 << 20
"""JSON text of a list, from which on it is cut; half of what one value may have."""
_DELIMITERS = ",;\t|"


def parse(text: str) -> Any:
    """Strict JSON.

    Raises:
        ValueError: it is not, says where; or it is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON value")


def read_json(data: Any, source: Source, options: Options) -> Read:
    """A JSON file as one value."""
    where = str(source.path)
    try:
        to_value(data)
    except InvalidInput as exc:
        yield Problem(where=where, reason=str(exc))
        return
    yield Item(name=file_name(options.files(), source.named), value=data, where=where, time=source.time)


def read_json_lines(text: str, source: Source, options: Options) -> Read:
    """A list of what the lines hold. Empty lines are none."""
    yield from _listed(_json_records(text, source), source, options)


def read_csv(text: str, source: Source, options: Options) -> Read:
    """A list of rows, each a dict by the names of the first row. All values are texts."""
    yield from _listed(_csv_records(text, source), source, options)


def _json_records(text: str, source: Source) -> Iterator[tuple[int, Any] | Problem]:
    for number, line in lines(text):
        if not line.strip():
            continue
        if not is_text(line):
            yield Problem(where=source.at(number), reason=odd(line))
            continue
        try:
            yield number, parse(line)
        except ValueError as exc:
            yield Problem(where=source.at(number), reason=f"Not JSON: {_brief(exc)}.")


def _brief(exc: ValueError) -> str:
    """Without the line, which of a single line is always the first."""
    return f"{exc.msg}, column {exc.colno}" if isinstance(exc, json.JSONDecodeError) else str(exc)


def _csv_records(text: str, source: Source) -> Iterator[tuple[int, Any] | Problem]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text, source), strict=True)
    # A field is bounded by the file, which is in memory already.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    header: list[str] = []
    while True:
        begin = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as exc:
            yield Problem(where=source.at(begin), reason=f"Not CSV: {exc}.")
            continue
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        if not is_text("".join(row)):
            yield Problem(where=source.at(begin), reason=odd("".join(row)))
            if not header:
                return
        elif not header:
            header = _header(row)
        elif len(row) != len(header):
            reason = f"It has {len(row)} fields, the first row has {len(header)}."
            yield Problem(where=source.at(begin), reason=reason)
        else:
            yield begin, dict(zip(header, row, strict=True))


def _delimiter(text: str, source: Source) -> str:
    """Which parts the first row most often. Spreadsheets use what their country does."""
    if source.path.suffix.lower() == ".tsv":
        return "\t"
    first = next((line for _, line in lines(text) if line.strip()), "")
    return max(_DELIMITERS, key=first.count)


def _header(row: list[str]) -> list[str]:
    """Names of columns, each once and none empty."""
    names: list[str] = []
    for position, cell in enumerate(row, 1):
        name = cell.strip() or f"column-{position}"
        names.append(name if name not in names else f"{name}-{position}")
    return names


def _listed(records: Iterator[tuple[int, Any] | Problem], source: Source, options: Options) -> Read:
    """The records as one list, or as several."""
    name = file_name(options.files(), source.named)
    parts: list[list[Any]] = [[]]
    size, had_problem = 0, False
    for record in records:
        if isinstance(record, Problem):
            had_problem = True
            yield record
            continue
        line, value = record
        try:
            length = len(to_value([value]).json.encode())
        except InvalidInput as exc:
            had_problem = True
            yield Problem(where=source.at(line), reason=str(exc))
            continue
        if length > PART_BYTES:
            had_problem = True
            reason = f"{length:,} bytes are more than {PART_BYTES >> 20} MiB, which one record may have."
            yield Problem(where=source.at(line), reason=reason)
            continue
        if size + length > PART_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(value)
        size += length
    if not parts[0]:
        if not had_problem:
            yield Problem(where=str(source.path), reason="It holds no record.")
        return
    for number, part in enumerate(parts, 1):
        named = name if len(parts) == 1 else f"{name}/part-{number:04}"
        where = str(source.path) if len(parts) == 1 else f"{source.path}, part {number}"
        yield Item(name=named, value=part, where=where, time=source.time)
