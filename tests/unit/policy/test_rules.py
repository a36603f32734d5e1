"""What a policy permits: signers, identities, key ranges, and its own change (spec/policy 6 to
9).
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.policy_texts import FULL, OPENPGP_FINGERPRINT, key_line, small

from gitkv.model.identity import Signature
from gitkv.model.key import encode_key, encode_prefix
from gitkv.model.policy import NamespacePolicy, Policy, Writer
from gitkv.model.public_key import parse_ssh_key
from gitkv.model.refs import Namespace
from gitkv.policy.rules import (
    EVERYTHING,
    NOTHING,
    allowed_ranges,
    in_ranges,
    judge_identity,
    judge_policy_change,
    judge_signature,
)
from gitkv.policy.text import parse_policy

MAIN = Namespace("main")
POLICY = parse_policy(FULL.encode())

# Few letters around the escapes and the ends of ASCII, so that prefixes meet, touch and contain one
# another.
_KEYS = st.text("ab%/.~éz", min_size=1, max_size=4)
_PREFIXES = st.lists(_KEYS.map(encode_prefix), max_size=4).map(tuple)


def fingerprint(number: int) -> str:
    return parse_ssh_key(key_line(number).encode()).fingerprint


def with_prefixes(writer: tuple[bytes, ...], allowed: tuple[bytes, ...]) -> Policy:
    return Policy((), (NamespacePolicy(MAIN, (Writer("alice", writer),), allowed),))


@given(_PREFIXES, _PREFIXES, st.lists(_KEYS, max_size=20))
def test_ranges_allow_exactly_the_keys_that_start_with_an_owned_and_an_allowed_prefix(
    writer: tuple[bytes, ...], allowed: tuple[bytes, ...], keys: list[str]
) -> None:
    ranges = allowed_ranges(with_prefixes(writer, allowed), MAIN, "alice")
    names = [encode_key(key) for key in keys] + [
        prefix + end for prefix in writer + allowed for end in (b"", b"!", b"%2F", b"z", b"~")
    ]
    for name in names:
        owned = not writer or name.startswith(writer)
        assert in_ranges(name, ranges) == (owned and (not allowed or name.startswith(allowed)))


@given(_PREFIXES, _PREFIXES)
def test_ranges_are_sorted_and_leave_a_gap_between_one_another(
    writer: tuple[bytes, ...], allowed: tuple[bytes, ...]
) -> None:
    ranges = allowed_ranges(with_prefixes(writer, allowed), MAIN, "alice")
    bounds = [bound for pair in ranges for bound in pair]
    if bounds and bounds[-1] is None:
        assert ranges[-1] == EVERYTHING[0] and len(ranges) == 1
    else:
        assert bounds == sorted(set(bounds), key=lambda bound: bound or b"")


def test_who_is_no_writer_may_change_nothing() -> None:
    assert allowed_ranges(POLICY, MAIN, "dora") == NOTHING
    assert allowed_ranges(POLICY, MAIN, "eve") == NOTHING
    assert allowed_ranges(POLICY, Namespace("other"), "alice") == NOTHING
    assert allowed_ranges(POLICY, Namespace("spare"), "alice") == NOTHING
    assert not in_ranges(b"a", NOTHING)


def test_a_writer_without_prefixes_is_still_held_by_the_allowed_ones() -> None:
    assert allowed_ranges(POLICY, MAIN, "alice") == (
        (b"%2E%C3%A9", b"%2E%C3%A:"),
        (b"cfg:", b"cfg;"),
        (b"flags%2Fx", b"flags%2Fy"),
    )
    assert allowed_ranges(POLICY, MAIN, "bob") == ((b"cfg:", b"cfg;"), (b"flags%2Fx", b"flags%2Fy"))
    assert allowed_ranges(parse_policy(small().encode()), MAIN, "alice") == EVERYTHING


def test_an_unsigned_commit_writes_only_where_signatures_are_optional() -> None:
    assert allowed_ranges(POLICY, MAIN, None) == NOTHING
    assert allowed_ranges(POLICY._replace(signatures_required=False), MAIN, None) == allowed_ranges(
        POLICY, MAIN, "alice"
    )


@pytest.mark.parametrize(
    ("status", "number", "code", "rule"),
    [
        ("unsigned", 0, 3, "signature.unsigned"),
        ("unknown-key", 9, 3, "signature.unknown-key"),
        ("revoked-key", 3, 3, "signature.revoked-key"),
        ("expired-key", 2, 3, "signature.expired-key"),
        ("malformed", 1, 8, "signature.malformed"),
        ("bad", 1, 8, "signature.bad"),
        ("a status of tomorrow", 1, 8, "signature.bad"),
        ("good", 9, 3, "signature.unknown-key"),  # the adapter's word alone does not make a writer
        ("good", 3, 3, "signature.revoked-key"),
    ],
)
def test_a_signature_that_is_not_good_names_nobody_and_one_reason(
    status: str, number: int, code: int, rule: str
) -> None:
    signature = Signature(status, fingerprint(number) if number else "", "why\x1b[2J")
    principal, (refusal,) = judge_signature(POLICY, signature, "main@3")
    assert principal is None
    assert (refusal.code, refusal.rule, refusal.where) == (code, rule, "main@3")
    assert refusal.hint and refusal.text().isprintable()


def test_a_good_signature_names_its_principal() -> None:
    for mark, name in [
        (fingerprint(1), "alice"),
        (fingerprint(2), "bob"),
        (OPENPGP_FINGERPRINT, "dora"),
    ]:
        principal, reasons = judge_signature(POLICY, Signature("good", mark), "main@3")
        assert principal is not None and (principal.name, reasons) == (name, [])


def test_a_good_signature_without_a_fingerprint_is_nobodys() -> None:
    assert judge_signature(POLICY, Signature("good"), "x")[0] is None


def test_optional_signatures_excuse_a_missing_one_and_no_broken_one() -> None:
    optional = POLICY._replace(signatures_required=False)
    assert judge_signature(optional, Signature("unsigned"), "x") == (None, [])
    for status in ("bad", "malformed", "unknown-key", "revoked-key", "expired-key"):
        assert judge_signature(optional, Signature(status, fingerprint(1)), "x")[1], status


def test_nobody_commits_under_the_email_of_another_principal() -> None:
    alice, bob, dora = POLICY.principals
    for signer in (bob, dora, None):
        (refusal,) = judge_identity(POLICY, signer, "ALICE@example.com")
        assert (refusal.code, refusal.rule) == (3, "identity.forged")
    assert judge_identity(POLICY, alice, "ALICE@example.com") == []


def test_a_principal_with_emails_uses_one_of_them() -> None:
    alice, bob, _ = POLICY.principals
    (refusal,) = judge_identity(POLICY, alice, "alice@elsewhere.org")
    assert (refusal.code, refusal.rule) == (3, "identity.unlisted")
    assert judge_identity(POLICY, bob, "bob@elsewhere.org") == []
    assert judge_identity(POLICY, None, "bob@elsewhere.org") == []


def rules_of(new_text: str, signer: str | None = "alice", now_s: int = 0) -> list[str]:
    reasons = judge_policy_change(POLICY, new_text.encode(), signer, now_s)
    assert all(entry.code == 3 and entry.text().isprintable() for entry in reasons)
    return [entry.rule for entry in reasons]


def test_an_admin_may_change_the_policy() -> None:
    assert (
        rules_of(FULL.replace("max_keys_per_transaction: 5", "max_keys_per_transaction: 6")) == []
    )


@pytest.mark.parametrize("signer", ["bob", "eve", "", None])
def test_nobody_but_an_admin_of_the_policy_before_changes_it(signer: str | None) -> None:
    assert rules_of(FULL.replace("admin: false", "admin: true"), signer) == ["policy.admin"]


def test_every_problem_of_the_new_text_is_a_reason_with_its_line() -> None:
    text = FULL.replace("version: 1", "version: 2").replace("lfs: allow", "lfs: maybe")
    reasons = judge_policy_change(POLICY, text.encode(), "bob")
    lines = [
        line
        for line, content in enumerate(text.splitlines(), 1)
        if content in ("version: 2", "    lfs: maybe")
    ]
    assert [(entry.rule, entry.where.split(":")[:2]) for entry in reasons[1:]] == [
        ("policy.syntax", [".kv/policy.yaml", str(line)]) for line in lines
    ]


def test_the_last_admin_cannot_leave() -> None:
    assert rules_of(FULL.replace("admin: true", "admin: false")) == ["policy.no-admin"]


def test_an_admin_whose_only_key_has_expired_does_not_count_as_left() -> None:
    text = FULL.replace(
        f"- {key_line(1)} alice@laptop", f"- key: {key_line(1)}\n        not_after: 2026-01-01"
    )
    end_s = 1767225600
    assert rules_of(text, now_s=end_s - 1) == []
    assert rules_of(text, now_s=end_s) == ["policy.no-admin"]


def test_gateway_keys_are_replaced_and_never_dropped() -> None:
    assert rules_of(FULL.replace(key_line(90), key_line(91))) == []
    assert rules_of(
        FULL.replace(f"    - {key_line(90)} stargate\n", "").replace(
            "gateway_keys:", "gateway_keys: []"
        )
    ) == ["policy.gateway-keys"]
    assert judge_policy_change(parse_policy(small().encode()), small().encode(), "alice") == []


def test_a_namespace_is_closed_and_never_removed() -> None:
    assert rules_of(FULL.replace("  spare:", "  other:")) == ["policy.namespace-removed"]
    assert rules_of(FULL + "  another: {writers: {}}\n") == []
