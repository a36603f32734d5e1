"""`verify: before-publish`: an honest mistake is refused where that is cheap, otherwise undone and
told; only a forgery suspends its writer, and the only admin can lift that.
"""

from __future__ import annotations

import re

import pytest
from support.gateway import NS, Gateway

from gitkv.gateway.followers.audit import audit_pending
from gitkv.gateway.standing import is_suspended
from gitkv.ledger.plan import Put
from gitkv.model.refs import watermark_ref

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n"


def _set(gateway: Gateway, **settings: object) -> None:
    """Changes settings of the namespace in the policy."""

    def change(text: bytes) -> bytes:
        for name, value in settings.items():
            pattern = rb"(?m)^( +%b: )\S+" % name.encode()
            text, times = re.subn(pattern, rb"\g<1>%b" % str(value).encode(), text)
            assert times == 1, f"{name} stands {times} times in the policy"
        return text

    answer = gateway.change_policy(change)
    assert answer.verdict.accepted, answer


@pytest.fixture
def eager(gateway: Gateway) -> Gateway:
    """One that answers first."""
    gateway.restart()
    _set(gateway, verify="before-publish", max_value_inline=4096, max_value_total=20_000)
    return gateway


def _rules(gateway: Gateway, changes: dict[bytes, Put | None]) -> set[str]:
    return {entry.rule for entry in gateway.push(gateway.transaction(changes)).verdict.reasons}


def _is_suspended(gateway: Gateway) -> bool:
    return is_suspended(gateway.stargate.gate.refs, "alice", gateway.stargate.gate.policy().commit)


def test_a_value_over_the_limit_is_refused_before_it_is_accepted(eager: Gateway) -> None:
    before = eager.refs()
    answer = eager.push(eager.transaction({b"ok": Put(b"1"), b"big": Put(b"x" * 4097)}))
    [found] = answer.verdict.reasons
    assert (found.code, found.rule, found.where) == (3, "value.size", "key big")
    assert (found.expected, found.got) == ("at most 4096 bytes", "4097")
    assert eager.refs() == before and not _is_suspended(eager)
    assert eager.push(eager.transaction({b"big": Put(b"x" * 4096)})).verdict.accepted


def test_values_over_the_limit_together_are_refused(eager: Gateway) -> None:
    values = {b"k%d" % n: Put(b"%d" % n * 4000) for n in range(6)}
    assert _rules(eager, values) == {"value.total"}
    del values[b"k5"], values[b"k4"]
    assert eager.push(eager.transaction(values)).verdict.accepted


def test_a_large_page_of_the_index_is_no_value(eager: Gateway) -> None:
    _set(eager, max_value_inline=64, max_value_total=20_000)
    keys = {b"k%03d" % n: Put(b"%d" % n) for n in range(150)}
    assert eager.push(eager.transaction(keys)).verdict.accepted
    assert audit_pending(eager.stargate.auditing, NS) == 1
    assert not eager.names("audit.violation")


def test_an_overshoot_that_admission_cannot_see_is_undone_and_suspends_nobody(
    eager: Gateway,
) -> None:
    value = Put(b"y" * 4000)
    assert eager.push(eager.transaction({b"first": value})).verdict.accepted
    _set(eager, max_value_inline=1000)
    audit_pending(eager.stargate.auditing, NS)
    made = eager.transaction({b"second": value})
    assert eager.push(made).verdict.accepted, "the value is in the repository, not in the pack"
    audit_pending(eager.stargate.auditing, NS)
    [told] = eager.names("audit.violation")
    assert "value.size" in str(told["reasons"]) and told["suspended"] == ""
    assert not _is_suspended(eager)
    assert made[0].tip.ledger.attestation.txn.encode() in eager.tip().ledger.text
    assert eager.push().verdict.accepted


def test_a_pointer_is_undone_and_what_its_writer_did_later_is_applied_again(
    eager: Gateway,
) -> None:
    bad = eager.transaction({b"file": Put(POINTER)})
    assert eager.push(bad).verdict.accepted
    later = eager.transaction({b"sound": Put(b"1")})
    assert eager.push(later).verdict.accepted
    audit_pending(eager.stargate.auditing, NS)
    assert eager.names("audit.reapplied") and not _is_suspended(eager)
    applied = eager.tip().ledger
    txns = [made[0].tip.ledger.attestation.txn for made in (bad, later)]
    assert txns[1].encode() in applied.text
    restored = eager.stargate.gate.objects.read(applied.commit.parents[0], b"commit")
    assert all(txn.encode() in restored for txn in txns), "it names all that it undid"
    assert eager.push().verdict.accepted


def test_a_forgery_suspends_even_the_only_admin_who_can_lift_it(eager: Gateway) -> None:
    forged = eager.transaction(bend=lambda plan: plan._replace(keys_set=7))
    assert eager.push(forged).verdict.accepted
    audit_pending(eager.stargate.auditing, NS)
    assert _is_suspended(eager) and eager.names("audit.violation")[0]["suspended"] == "alice"
    assert _rules(eager, {b"k": Put(b"v")}) == {"writer.suspended"}
    assert eager.change_policy(lambda text: text + b"# talked about it\n").verdict.accepted
    assert eager.push().verdict.accepted
    assert audit_pending(eager.stargate.auditing, NS) == 1


def test_what_was_undone_never_reaches_the_mirror(eager: Gateway) -> None:
    assert eager.push(eager.transaction({b"file": Put(POINTER)})).verdict.accepted
    eager.watch.push_once()
    audit_pending(eager.stargate.auditing, NS)
    eager.watch.push_once()
    assert eager.refs(eager.mirror)["refs/kv/main"] == eager.tip().ledger.oid.hex()
    assert eager.stargate.gate.refs.read(watermark_ref(NS)) == eager.tip().ledger.oid
