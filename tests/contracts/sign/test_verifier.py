"""Whose key it is, whether it may still sign, and what GnuPG is asked and not asked."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gitkv.errors import ToolError
from gitkv.model.identity import PublicKey
from gitkv.sign.verifier import SignatureVerifier

NOW_S = 1_700_000_600
DAY_S = 86_400
KINDS = ["ssh-ed25519", "openpgp-ed25519"]
NO_PROGRAMS = {"PATH": "/nonexistent"}


@pytest.mark.parametrize(
    "kind",
    [
        "openpgp-ed25519",
        "openpgp-rsa",
        "openpgp-nistp256",
        "openpgp-subkey",
        "openpgp-expiring",
        "openpgp-brief",
    ],
)
def test_golden_openpgp_signatures_are_good_and_name_the_primary_key(kind, vector, judge) -> None:
    outcome = judge(vector(kind))
    assert (outcome.status, outcome.fingerprint) == ("good", vector(kind).key.fingerprint)


@pytest.mark.parametrize("kind", KINDS)
def test_other_payload_is_bad(kind, vector, judge) -> None:
    assert judge(vector(kind)._replace(payload=b"tree x\n")).status == "bad"


def test_no_signature_is_unsigned(vector, verifier) -> None:
    assert verifier.verify(b"x", b"", [vector("ssh-ed25519").key], NOW_S).status == "unsigned"


@pytest.mark.parametrize(
    "armour",
    [b"x", b"-----BEGIN SIGNED MESSAGE-----\n", b"-----BEGIN PGP MESSAGE-----\n", b"\0", b"\n"],
)
def test_what_is_no_signature_is_malformed(armour: bytes, vector, verifier) -> None:
    assert (
        verifier.verify(
            b"x", armour, [vector("ssh-ed25519").key, vector("openpgp-ed25519").key], NOW_S
        ).status
        == "malformed"
    )


@pytest.mark.parametrize(
    ("kind", "other"), [("ssh-ed25519", "ssh-rsa"), ("openpgp-ed25519", "openpgp-rsa")]
)
def test_key_outside_the_policy_is_unknown_and_named(kind, other, vector, verifier) -> None:
    case = vector(kind)
    outcome = verifier.verify(case.payload, case.armour, [vector(other).key], NOW_S)
    assert (outcome.status, outcome.fingerprint) == ("unknown-key", case.key.fingerprint)


@pytest.mark.parametrize("kind", KINDS)
def test_revoked_key_is_refused_whatever_the_date(kind, vector, judge) -> None:
    case = vector(kind)
    assert judge(case._replace(key=case.key._replace(revoked=True))).status == "revoked-key"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("not_after_s", "status"),
    [(0, "good"), (NOW_S + 1, "good"), (NOW_S, "expired-key"), (1, "expired-key")],
)
def test_key_expires_by_the_judges_clock(kind, not_after_s, status, vector, judge) -> None:
    case = vector(kind)
    assert judge(case._replace(key=case.key._replace(not_after_s=not_after_s))).status == status


@pytest.mark.parametrize("kind", KINDS)
def test_key_listed_twice_is_as_valid_as_its_strictest_entry(kind, vector, verifier) -> None:
    case = vector(kind)
    outcome = verifier.verify(
        case.payload, case.armour, [case.key, case.key._replace(revoked=True)], NOW_S
    )
    assert outcome.status == "revoked-key"


def test_openpgp_keys_own_expiry_counts_by_the_judges_clock(vector, verifier) -> None:
    case = vector("openpgp-expiring")
    outcome = verifier.verify(case.payload, case.armour, [case.key], NOW_S + 2 * DAY_S)
    assert (outcome.status, outcome.fingerprint) == ("expired-key", case.key.fingerprint)


def test_expired_openpgp_signature_is_bad(vector, verifier) -> None:
    case = vector("openpgp-brief")
    assert verifier.verify(case.payload, case.armour, [case.key], NOW_S + 2 * DAY_S).status == "bad"


def test_openpgp_key_revoked_by_its_owner_is_revoked(vector, judge) -> None:
    assert judge(vector("openpgp-revoked")).status == "revoked-key"


def test_signature_of_one_key_does_not_pass_as_another_kind(vector, verifier) -> None:
    case = vector("ssh-ed25519")
    disguised = PublicKey("openpgp", vector("openpgp-ed25519").key.material, case.key.fingerprint)
    assert verifier.verify(case.payload, case.armour, [disguised], NOW_S).status == "unknown-key"


def test_missing_gpg_says_what_to_install(vector, tmp_path: Path) -> None:
    case = vector("openpgp-ed25519")
    with pytest.raises(ToolError) as caught:
        SignatureVerifier(str(tmp_path / "g"), NO_PROGRAMS).verify(
            case.payload, case.armour, [case.key], NOW_S
        )
    assert "apt-get install gnupg" in caught.value.hint
    assert list((tmp_path / "g").iterdir()) == [], "a home that could not be filled must not stay"


def test_gpg_is_not_started_for_ssh_for_malformed_or_for_unknown_signers(
    vector, tmp_path: Path
) -> None:
    verifier = SignatureVerifier(str(tmp_path / "g"), NO_PROGRAMS)
    ssh, pgp, other = vector("ssh-ed25519"), vector("openpgp-ed25519"), vector("openpgp-rsa")
    keys = [ssh.key, pgp.key]
    assert verifier.verify(ssh.payload, ssh.armour, keys, NOW_S).status == "good"
    assert verifier.verify(other.payload, other.armour, keys, NOW_S).status == "unknown-key"
    assert verifier.verify(pgp.payload, pgp.armour + b"\n", keys, NOW_S).status == "malformed"
    assert not (tmp_path / "g").exists()


def test_homes_are_private_made_once_and_hold_the_policys_keys_only(vector, tmp_path: Path) -> None:
    users = tmp_path / "user"
    users.mkdir(mode=0o700)
    environ = {**os.environ, "GNUPGHOME": str(users), "HOME": str(users)}
    verifier = SignatureVerifier(str(tmp_path / "g"), environ)
    one, two = vector("openpgp-ed25519"), vector("openpgp-rsa")
    for keys in ([one.key], [one.key, two.key], [two.key, one.key], [one.key]):
        assert verifier.verify(one.payload, one.armour, keys, NOW_S).status == "good"
    homes = list((tmp_path / "g").iterdir())
    assert len(homes) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "g", *homes]} == {0o700}
    assert list(users.iterdir()) == [], "the user's own gpg home must not be touched"


def test_directory_open_to_others_is_refused(vector, tmp_path: Path) -> None:
    case = vector("openpgp-ed25519")
    tmp_path.chmod(0o755)
    with pytest.raises(ToolError, match="open to other users"):
        SignatureVerifier(str(tmp_path), os.environ).verify(
            case.payload, case.armour, [case.key], NOW_S
        )


def test_gpg_that_dies_is_a_tool_error_and_not_a_verdict(vector, tmp_path: Path) -> None:
    case = vector("openpgp-ed25519")
    program = tmp_path / "bin" / "gpg"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf 'disk \\033[31mfull\\n' >&2; exit 2\n")
    program.chmod(0o755)
    verifier = SignatureVerifier(
        str(tmp_path / "g"), {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    )
    with pytest.raises(ToolError) as caught:
        verifier.verify(case.payload, case.armour, [case.key], NOW_S)
    assert "disk" in str(caught.value) and "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        "GOODSIG 0 x",
        "GOODSIG 0 x\n[GNUPG:] VALIDSIG {other} 2023-11-14 1700000000 0 4 0 22 8 00 {other}",
        "GOODSIG 0 x\n[GNUPG:] BADSIG 0 x\n[GNUPG:] VALIDSIG {own} 2023-11-14 1700000000 0 4 0 22 "
        "8 00 {own}",
        "NODATA 4",
    ],
)
def test_gpg_must_name_the_expected_key_in_one_verdict(answer: str, vector, tmp_path: Path) -> None:
    case, program = vector("openpgp-ed25519"), tmp_path / "bin" / "gpg"
    program.parent.mkdir()
    said = answer.format(own=case.key.fingerprint, other="0" * 40)
    program.write_text(
        f"#!/bin/sh\ncat >/dev/null\ncat <<END\n[GNUPG:] IMPORT_RES 1\n[GNUPG:] {said}\nEND\n"
    )
    program.chmod(0o755)
    verifier = SignatureVerifier(
        str(tmp_path / "g"), {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    )
    assert verifier.verify(case.payload, case.armour, [case.key], NOW_S).status == "bad"
