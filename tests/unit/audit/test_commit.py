"""The second reader of commits is no laxer than admission (spec/attestation 1.2 and 2.2)."""

from __future__ import annotations

import pytest

from gitkv.audit.commit import parse_commit
from gitkv.model.attestation import Attestation, format_message
from gitkv.model.commit import Identity, commit_payload
from gitkv.model.oid import EMPTY_TREE
from gitkv.model.refs import FIRST_EPOCH, Namespace

SAID = Attestation(
    Namespace("main"),
    "00000000-0000-7000-8000-000000000000",
    0,
    None,
    None,
    None,
    EMPTY_TREE,
    FIRST_EPOCH,
    0,
    0,
)


def _commit(text: str = "begin main", zone: str = "+0100") -> bytes:
    message = format_message("begin main", SAID).replace(b"begin main", text.encode())
    return commit_payload(
        EMPTY_TREE, (), Identity("Alice", "alice@example.com", 1_700_000_000, zone).line(), message
    )


def test_an_ordinary_commit_is_read() -> None:
    assert parse_commit(_commit()).subject == b"begin main"


@pytest.mark.parametrize("zone", ["+1500", "-2359", "+0060"])
def test_a_zone_that_no_clock_has_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match=r"1\.2"):
        parse_commit(_commit(zone=zone))


@pytest.mark.parametrize("text", ["---", "begin\n\n--- a/file", "begin\n\nkv-txn: x"])
def test_a_line_where_git_would_see_the_message_end_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"2\.2"):
        parse_commit(_commit(text))
