"""What the gateway signs on its own account reads back as it was written, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkv.model.gateway_act import (
    APPLY_AGAIN,
    BEGIN,
    RESTORE,
    SUBJECT_BYTES_MAX,
    GatewayAct,
    parse_gateway_act,
)
from gitkv.model.refs import Namespace

NS = Namespace("main")
LONGEST = GatewayAct(APPLY_AGAIN, Namespace("n" * 63), 10**15 - 1, "p" * 64)


@pytest.mark.parametrize(
    ("act", "subject"),
    [
        (GatewayAct(BEGIN, NS), b"begin main"),
        (GatewayAct(RESTORE, NS, 0), b"restore main@0"),
        (GatewayAct(APPLY_AGAIN, NS, 12, "bob@laptop"), b"apply main@12 of bob@laptop again"),
    ],
)
def test_an_act_has_one_spelling(act: GatewayAct, subject: bytes) -> None:
    assert act.subject().encode() == subject
    assert parse_gateway_act(subject) == act


def test_the_longest_act_is_read() -> None:
    subject = LONGEST.subject().encode()
    assert len(subject) <= SUBJECT_BYTES_MAX and parse_gateway_act(subject) == LONGEST


@pytest.mark.parametrize(
    "subject",
    [
        b"",
        b"begin",
        b"begin Main",
        b"begin main ",
        b"Begin main",
        b"restore main",
        b"restore main@",
        b"restore main@01",
        b"restore main@-1",
        b"restore main@1\n",
        b"restore main@1 x",
        b"restore main@" + b"9" * 16,
        b"apply main@1 of bob",
        b"apply main@1 of  again",
        b"apply main@1 of .bob again",
        b"apply main@1 of b\xc3\xb6b again",
        b"apply main@1 of " + b"b" * 65 + b" again",
        b"apply ../x@1 of bob again",
        b"apply main@\xd9\xa1 of bob again",
        b"begin main" + b" " * 300,
    ],
)
def test_no_other_line_is_an_act(subject: bytes) -> None:
    assert parse_gateway_act(subject) is None


@given(st.binary(max_size=80))
def test_whatever_is_read_is_written_the_same_way(tail: bytes) -> None:
    for head in (b"", b"begin ", b"restore main@", b"apply main@1 of "):
        act = parse_gateway_act(head + tail)
        assert act is None or act.subject().encode() == head + tail
