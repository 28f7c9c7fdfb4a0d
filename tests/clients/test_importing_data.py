"""Importing data: JSON lines, CSV and PDF; what is damaged is named by its line or page."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rlmd.clients.importing import Item
from rlmd.clients.importing.tables import PART_BYTES
from tests.clients.reading import problems, read, taken


def test_json_lines_become_a_list(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n[2]\n"\xe2\x80\xa8"\rnull')
    (item,) = taken(tmp_path / "log.jsonl")
    assert (item.name, item.value) == ("inbox/log.jsonl", [{"a": 1}, [2], "\u2028", None])


def test_a_bad_line_costs_only_itself(tmp_path: Path) -> None:
    deep = b"[" * 150 + b"]" * 150
    bad = [b'{"a": 1', b'"\xff"', b"NaN", b'"\\ud800"', deep, b"[" * 100_000, b'"' + b"x" * PART_BYTES + b'"']
    (tmp_path / "log.jsonl").write_bytes(b"1\n" + b"\n".join(bad) + b"\n2\n")
    told = dict(problems(tmp_path / "log.jsonl"))
    assert list(told) == [f"log.jsonl:{line}" for line in range(2, 9)]
    assert told["log.jsonl:2"].startswith("Not JSON: Expecting ',' delimiter, column 8")
    assert "0xff" in told["log.jsonl:3"]
    assert "8 MiB" in told["log.jsonl:8"]
    assert [entry.value for entry in read(tmp_path / "log.jsonl") if isinstance(entry, Item)] == [[1, 2]]


def test_a_long_list_is_cut_into_parts(tmp_path: Path) -> None:
    third = "x" * (PART_BYTES // 3)
    (tmp_path / "log.ndjson").write_text("\n".join(f'"{number}{third}"' for number in range(5)))
    items = taken(tmp_path / "log.ndjson")
    assert [(item.name, len(item.value)) for item in items] == [
        ("inbox/log.ndjson/part-0001", 2),
        ("inbox/log.ndjson/part-0002", 2),
        ("inbox/log.ndjson/part-0003", 1),
    ]


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("a.csv", b'name,note\nAnn,"two\nlines, ""so"""\n\nBob,\n'),
        ("a.csv", b'\xef\xbb\xbfname;note\r\nAnn;"two\nlines, ""so"""\r\nBob;\r\n'),
        ("a.csv", 'name\tnote\nAnn\t"two\nlines, ""so"""\nBob\t\n'.encode("utf-16")),
        ("a.tsv", b'name\tnote\rAnn\t"two\nlines, ""so"""\rBob\t'),
    ],
)
def test_csv_becomes_a_list_of_dicts(tmp_path: Path, name: str, raw: bytes) -> None:
    (tmp_path / name).write_bytes(raw)
    (item,) = taken(tmp_path / name)
    assert item.name == f"inbox/{name}"
    assert item.value == [{"name": "Ann", "note": 'two\nlines, "so"'}, {"name": "Bob", "note": ""}]


def test_a_bad_row_costs_only_itself(tmp_path: Path) -> None:
    rows = [b"a,,a", b'1,"two', b'lines",3', b"1,2", b"4,\xff,6", b'7,"8"x,9', b"8," + b"y" * 200_000 + b",9"]
    (tmp_path / "a.csv").write_bytes(b"\n".join([*rows, b'9,"never closed', b"lost"]))
    assert [where for where, _ in problems(tmp_path / "a.csv")] == [
        "a.csv:4",
        "a.csv:5",
        "a.csv:6",
        "a.csv:8",
    ]
    assert problems(tmp_path / "a.csv")[0][1] == "It has 2 fields, the first row has 3."
    (item,) = (entry for entry in read(tmp_path / "a.csv") if isinstance(entry, Item))
    assert item.value == [
        {"a": "1", "column-2": "two\nlines", "a-3": "3"},
        {"a": "8", "column-2": "y" * 200_000, "a-3": "9"},
    ]


def test_a_table_without_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n")
    assert problems(tmp_path / "a.csv") == [("a.csv", "It holds no record.")]


def pdf(*pages: str, made: str = "D:20230508135601+02'00'") -> bytes:
    """A small PDF, a line of text a page."""
    count = len(pages)
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    bodies = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET" if text else ""
        bodies += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    bodies.append(f"<< /CreationDate ({made}) >>")
    written, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(written))
        written += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    head = f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{table}"
    trailer = f"trailer\n<< /Size {len(bodies) + 1} /Root 1 0 R /Info {len(bodies)} 0 R >>\n"
    return written + f"{head}{trailer}startxref\n{len(written)}\n%%EOF\n".encode()


def test_pdf_becomes_the_text_of_its_pages(tmp_path: Path) -> None:
    (tmp_path / "Report.PDF").write_bytes(pdf("The lake is cold.", "", "So is the sea."))
    (item,) = taken(tmp_path)
    assert item.name == f"inbox/{tmp_path.name}/Report.PDF"
    assert item.value == "[page 1]\nThe lake is cold.\n\n[page 3]\nSo is the sea.\n"
    assert (item.time, item.dated) == (datetime(2023, 5, 8, 11, 56, 1, tzinfo=UTC), True)


def test_a_pdf_of_one_page_and_without_a_date(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("Short.", made="yesterday"))
    (item,) = taken(tmp_path / "a.pdf")
    assert (item.value, item.dated) == ("Short.\n", False)
    assert item.time is not None


def test_pdf_damaged(tmp_path: Path) -> None:
    (tmp_path / "cut.pdf").write_bytes(pdf("Short.")[:60])
    (tmp_path / "empty.pdf").write_bytes(b"")
    (tmp_path / "junk.pdf").write_bytes(b"\x00\xff" * 1000)
    (tmp_path / "scan.pdf").write_bytes(pdf("", ""))
    told = dict(problems(tmp_path))
    assert list(told) == ["cut.pdf", "empty.pdf", "junk.pdf", "scan.pdf"]
    assert all("Not a PDF that can be read" in told[name] for name in ("cut.pdf", "empty.pdf", "junk.pdf"))
    assert "OCR" in told["scan.pdf"]


def test_an_encrypted_pdf_says_so(tmp_path: Path) -> None:
    from pypdf import PdfReader, PdfWriter

    (tmp_path / "open.pdf").write_bytes(pdf("Secret."))
    writer = PdfWriter(clone_from=PdfReader(tmp_path / "open.pdf"))
    writer.encrypt("password", algorithm="RC4-128")
    writer.write(tmp_path / "closed.pdf")
    ((_, reason),) = problems(tmp_path / "closed.pdf")
    assert "password" in reason


def test_without_pypdf_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("Short."))
    (tmp_path / "b.txt").write_text("still taken")
    monkeypatch.setitem(sys.modules, "pypdf", None)
    problem, item = read(tmp_path)
    assert "pip install 'rlmd[pdf]'" in getattr(problem, "reason", "")
    assert getattr(item, "value", "") == "still taken"
