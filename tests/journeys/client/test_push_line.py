"""What a Stargate's answers become: reasons, receipts, and the errors that callers act on."""

from __future__ import annotations

import random

import pytest

from gitkv import (
    ConflictError,
    IntegrityError,
    NotLeaderError,
    RejectedError,
    ToolError,
    UnavailableError,
)
from gitkv.model.oid import Oid
from gitkv.model.verdict import CONFLICT, NOT_LEADER, POLICY, Reason, Verdict
from gitkv.wire.answer_lines import refused
from gitkv.wire.receive_pack import FLUSH_PKT, advertisement, refusal, report
from gitkv.wire.side_band import progress

_REFS = (b"refs/kv/main", b"refs/kv-index/main")
# Answers with the bytes in a file, once the pack has begun to arrive; an eager one does not wait
# for it.
_SERVER = """\
#!{python}
import os, sys
sys.stdout.buffer.write(open({greeting!r}, "rb").read())
sys.stdout.buffer.flush()
name = {answers!r}
number = int(open(name + ".count").read()) if os.path.exists(name + ".count") else 0
open(name + ".count", "w").write(str(number + 1))
length = sys.stdin.buffer.read(4)
if length == b"0000":
    sys.exit()
while length != b"0000":
    sys.stdin.buffer.read(int(length, 16) - 4)
    length = sys.stdin.buffer.read(4)
if not os.path.exists(name + ".eager"):
    sys.stdin.buffer.read(24)
sys.stdout.buffer.write(open(name + str(number), "rb").read())
"""


@pytest.fixture
def served(team):
    """`served(answer, ...)` is a clone whose pushes get these answers, one after the other."""
    import sys

    def serve(*answers: bytes, greeting: bytes = b""):
        store = team.clone("alice")
        store.refresh()
        heads = {ref: Oid(bytes.fromhex(team.tip(team.server, ref.decode()))) for ref in _REFS}
        (team.root / "greeting").write_bytes(greeting or advertisement(heads))
        for number, answer in enumerate(answers):
            (team.root / f"answer{number}").write_bytes(answer)
        team.ssh.write_text(
            _SERVER.format(
                python=sys.executable,
                greeting=str(team.root / "greeting"),
                answers=str(team.root / "answer"),
            )
        )
        store._replica.host = store._replica.host._replace(sleep=lambda seconds: None)
        return store

    return serve


def _refusal(*reasons: Reason) -> bytes:
    return progress(refused(Verdict(reasons), True)) + report(
        b"ok", [(ref, b"refused") for ref in _REFS], True
    )


def _acceptance() -> bytes:
    return progress(b"a line for people\n") + report(b"ok", [(ref, None) for ref in _REFS], True)


_STALE = Reason(CONFLICT, "base.stale", "refs/kv/main", "0" * 40, "1" * 40)
_PREFIX = Reason(
    POLICY, "prefix.not-owned", "a b%c", "a key that starts with x", "a b%c", "ask an admin"
)


def test_every_reason_of_a_refusal_reaches_the_caller_as_a_value(served):
    with pytest.raises(RejectedError) as caught:
        served(_refusal(_PREFIX, _PREFIX)).set("a", b"1")
    assert caught.value.verdict.reasons == (_PREFIX, _PREFIX) and caught.value.exit_code == 3


def test_a_lost_race_is_run_again(served):
    with pytest.raises(IntegrityError, match="no receipt"):  # so the third was an acceptance
        served(_refusal(_STALE), _refusal(_STALE), _acceptance()).set("a", b"1")


def test_races_lost_for_ever_end_as_a_conflict_with_both_tips(served):
    store = served(*[_refusal(_STALE)] * 10)
    with pytest.raises(ConflictError, match="10 times in a row") as caught:
        store.set("a", b"1")
    assert caught.value.actual == "0" * 40 and caught.value.exit_code == 2
    assert caught.value.expected == next(store.log()).commit


def test_a_standby_is_told_apart_from_a_refusal(served):
    with pytest.raises(NotLeaderError, match=r"gate-2\.example") as caught:
        served(
            _refusal(
                Reason(
                    NOT_LEADER,
                    "role.standby",
                    "stargate",
                    "the leader, gate-2.example",
                    "a standby",
                )
            )
        ).set("a", b"1")
    assert caught.value.exit_code == 9


def test_half_an_answer_counts_as_none(served):
    store = served(*[_acceptance()[:-20]] * 10)
    with pytest.raises(UnavailableError, match="unknown"):
        store.set("a", b"1")
    assert "a" not in store


def test_a_server_without_atomic_pushes_is_refused(served):
    with pytest.raises(ToolError, match="does not offer atomic"):
        served(greeting=advertisement({}, b"report-status")).set("a", b"1")


def test_a_greeting_that_refuses_is_passed_on(served):
    with pytest.raises(UnavailableError, match="draining"):
        served(greeting=refusal("draining")).set("a", b"1")


def test_a_greeting_that_is_no_protocol_is_told(served):
    with pytest.raises(ToolError, match="not git's protocol"):
        served(greeting=b"HTTP/1.1 400 Bad Request\r\n").set("a", b"1")


def test_a_namespace_that_the_server_lacks_is_named(served):
    with pytest.raises(ToolError, match="no namespace main"):
        served(greeting=advertisement({}) or FLUSH_PKT).set("a", b"1")


def test_a_refusal_sent_before_the_pack_was_read_is_not_lost(served, team):
    (team.root / "answer.eager").touch()
    store = served(_refusal(_PREFIX))
    with pytest.raises(RejectedError) as caught:
        store.set("a", random.Random(1).randbytes(1 << 20))  # more than the pipes hold
    assert caught.value.exit_code == 3
