"""Every error of the family as a status that a client can make it of again."""

from __future__ import annotations

from urllib.parse import quote

import grpc
import pytest
from google.rpc import error_details_pb2

from rlmd.daemon.rpc.errors import status_of
from rlmd.errors import ALL, InvalidInput, RlmdError, Unavailable


@pytest.mark.parametrize("kind", ALL)
def test_status_holds_class_reason_field_and_remedy(kind: type[RlmdError]) -> None:
    error = kind("it broke", field="limits.steps", remedy="Mend it.")
    status = status_of(error)
    assert status.code == grpc.StatusCode[kind.code].value[0]
    assert status.message == str(error)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == (kind.__name__, "rlmd")
    assert dict(info.metadata) == {"reason": "it broke", "field": "limits.steps", "remedy": "Mend it."}
    assert status.details[1].Unpack(bad)
    assert [violation.field for violation in bad.field_violations] == ["limits.steps"]
    assert len(status.details) == (3 if kind is Unavailable else 2)


def test_error_without_a_field_is_no_bad_request() -> None:
    assert len(status_of(InvalidInput("it broke")).details) == 1


def test_client_is_told_when_to_come_back() -> None:
    retry = error_details_pb2.RetryInfo()
    assert status_of(Unavailable("not yet")).details[-1].Unpack(retry)
    assert retry.retry_delay.seconds > 0


@pytest.mark.parametrize("letter", ["x", "ä", "\U0001f600", "\ud800"])
def test_status_fits_into_a_header(letter: str) -> None:
    status = status_of(Unavailable(letter * 20_000, field=letter * 20_000, remedy=letter * 20_000))
    # The text goes as percent-encoded UTF-8, the details as base64; gRPC's limit is 8 KiB for all headers.
    assert len(quote(status.message)) + status.ByteSize() * 4 / 3 < 8_000
