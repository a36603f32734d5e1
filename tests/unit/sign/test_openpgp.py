"""Only the spelling that follows from the signed part of an OpenPGP signature is accepted; GnuPG
alone would take many.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitkv.model.openpgp_packets import TAG_SIGNATURE, crc24, dearmour, enarmour, packets, take_mpi
from gitkv.model.public_key import openpgp_keys
from gitkv.sign import openpgp

KINDS = ["openpgp-ed25519", "openpgp-rsa", "openpgp-nistp256"]
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
TITLE = b"SIGNATURE"


def body_of(armour: bytes) -> bytes:
    return packets(dearmour(armour).data)[0].body


def packed(body: bytes) -> bytes:
    header = bytes([0x88, len(body)]) if len(body) < 256 else b"\x89" + len(body).to_bytes(2, "big")
    return enarmour(TITLE, header + body)


def with_unhashed(body: bytes, area: bytes) -> bytes:
    at = 6 + int.from_bytes(body[4:6], "big")
    behind = at + 2 + int.from_bytes(body[at : at + 2], "big")
    return packed(body[:at] + len(area).to_bytes(2, "big") + area + body[behind:])


def number(value: int) -> bytes:
    return value.bit_length().to_bytes(2, "big") + value.to_bytes(
        (value.bit_length() + 7) // 8, "big"
    )


def numbers_at(body: bytes) -> int:
    at = 6 + int.from_bytes(body[4:6], "big")
    return at + 2 + int.from_bytes(body[at : at + 2], "big") + 2


def grown_s(armour: bytes) -> bytes:
    body = body_of(armour)
    r, behind = take_mpi(body, numbers_at(body))
    s = int.from_bytes(take_mpi(body, behind)[0].to_bytes(32, "big"), "little") + ED25519_ORDER
    return packed(
        body[: numbers_at(body)]
        + number(r)
        + number(int.from_bytes(s.to_bytes(32, "little"), "big"))
    )


def rewrapped(armour: bytes, width: int) -> bytes:
    head, _, rest = armour.partition(b"\n\n")
    lines, _, tail = rest.partition(b"\n=")
    text = lines.replace(b"\n", b"")
    return (
        head
        + b"\n\n"
        + b"\n".join(text[at : at + width] for at in range(0, len(text), width))
        + b"\n="
        + tail
    )


def without_checksum(armour: bytes) -> bytes:
    at = armour.index(b"\n=")
    return armour[:at] + armour[at + 6 :]


def data_of(armour: bytes) -> bytes:
    return dearmour(armour).data


SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "Version header": lambda armour: armour.replace(
        b"-----\n\n", b"-----\nVersion: GnuPG v2\n\n", 1
    ),
    "Comment header": lambda armour: armour.replace(b"-----\n\n", b"-----\nComment: x\n\n", 1),
    "no empty line": lambda armour: armour.replace(b"-----\n\n", b"-----\n", 1),
    "spaces for an empty line": lambda armour: armour.replace(b"-----\n\n", b"-----\n \n", 1),
    "lines of 76": lambda armour: rewrapped(armour, 76),
    "no checksum": without_checksum,
    "wrong checksum": lambda armour: (
        armour[: armour.index(b"\n=") + 2] + b"AAAA" + armour[armour.index(b"\n=") + 6 :]
    ),
    "CRLF": lambda armour: armour.replace(b"\n", b"\r\n"),
    "text before": lambda armour: b"hello\n" + armour,
    "text after": lambda armour: armour + b"hello\n",
    "no final LF": lambda armour: armour[:-1],
    "twice": lambda armour: armour + armour,
    "another title": lambda armour: armour.replace(b"PGP SIGNATURE", b"PGP MESSAGE"),
    "two packets": lambda armour: enarmour(TITLE, data_of(armour) * 2),
    "marker packet after": lambda armour: enarmour(TITLE, data_of(armour) + b"\xa8\x03PGP"),
    "byte after": lambda armour: enarmour(TITLE, data_of(armour) + b"\0"),
    "new packet header": lambda armour: enarmour(
        TITLE, bytes([0xC0 | TAG_SIGNATURE, len(body_of(armour))]) + body_of(armour)
    ),
    "long packet header": lambda armour: enarmour(
        TITLE, b"\x8a" + len(body_of(armour)).to_bytes(4, "big") + body_of(armour)
    ),
    "indeterminate length": lambda armour: enarmour(TITLE, b"\x8b" + body_of(armour)),
    "empty unhashed area": lambda armour: with_unhashed(body_of(armour), b""),
    "note in the unhashed area": lambda armour: with_unhashed(
        body_of(armour), b"\x09\x10" + bytes(8) + b"\x02\x65x"
    ),
    "another key id": lambda armour: with_unhashed(body_of(armour), b"\x09\x10" + bytes(8)),
    "long subpacket length": lambda armour: with_unhashed(
        body_of(armour), b"\xff\0\0\0\x09\x10" + bytes.fromhex(openpgp.signing_key(armour))[-8:]
    ),
    "text signature": lambda armour: packed(body_of(armour)[:1] + b"\1" + body_of(armour)[2:]),
    "SHA-1": lambda armour: packed(body_of(armour)[:3] + b"\2" + body_of(armour)[4:]),
    "s grown by the group's order": grown_s,
    "number after": lambda armour: packed(body_of(armour) + b"\0\1\1"),
    "byte after the numbers": lambda armour: packed(body_of(armour) + b"\0"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_other_spellings_of_a_good_signature_are_malformed(spelling, vector, judge) -> None:
    case = vector("openpgp-ed25519")
    outcome = judge(case._replace(armour=SPELLINGS[spelling](case.armour)))
    assert outcome.status == "malformed", outcome


def test_gnupg_alone_accepts_other_spellings(gpg_tool, vector, tmp_path: Path) -> None:
    """Why the form is checked here: with GnuPG's word only, one signature would make several good
    commits.
    """
    case = vector("openpgp-ed25519")
    tmp_path.chmod(0o700)
    gpg = [
        gpg_tool,
        "--homedir",
        str(tmp_path),
        "--batch",
        "--quiet",
        "--no-autostart",
        "--trust-model",
        "always",
    ]
    subprocess.run([*gpg, "--import"], input=case.key.material, check=True, capture_output=True)
    accepted = set()
    for spelling, change in SPELLINGS.items():
        (tmp_path / "sig").write_bytes(change(case.armour))
        argv = [*gpg, "--faked-system-time", "1700000600!", "--verify", str(tmp_path / "sig"), "-"]
        if subprocess.run(argv, input=case.payload, capture_output=True).returncode == 0:
            accepted.add(spelling)
    assert {
        "Version header",
        "no checksum",
        "new packet header",
        "text after",
        "note in the unhashed area",
    } <= accepted


def test_digest_start_is_checked_though_gnupg_ignores_it(vector, judge) -> None:
    case = vector("openpgp-ed25519")
    body = body_of(case.armour)
    at = numbers_at(body) - 1
    assert (
        judge(
            case._replace(armour=packed(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]))
        ).status
        == "bad"
    )


def test_rsa_signature_grown_by_the_modulus_is_bad(vector, judge) -> None:
    case = vector("openpgp-rsa")
    body = body_of(case.armour)
    modulus = take_mpi(openpgp_keys(case.key.material)[0].numbers, 0)[0]
    grown = take_mpi(body, numbers_at(body))[0] + modulus
    assert (
        judge(case._replace(armour=packed(body[: numbers_at(body)] + number(grown)))).status
        == "bad"
    )


FINGERPRINT = bytes(range(20))
NAMED, KEY_ID = b"\x16\x21\4" + FINGERPRINT, b"\x09\x10" + FINGERPRINT[-8:]


def eddsa(hashed: bytes, unhashed: bytes) -> bytes:
    areas = b"".join(len(area).to_bytes(2, "big") + area for area in (hashed, unhashed))
    return packed(b"\4\0\x16\x08" + areas + b"\0\0" + number(1) * 2)


@pytest.mark.parametrize(
    ("hashed", "unhashed"), [(NAMED, KEY_ID), (NAMED + KEY_ID, b""), (KEY_ID + NAMED, b"")]
)
def test_signed_part_decides_where_the_key_id_stands(hashed: bytes, unhashed: bytes) -> None:
    assert openpgp.signing_key(eddsa(hashed, unhashed)) == FINGERPRINT.hex().upper()
    for other in {b"", KEY_ID, NAMED, KEY_ID + KEY_ID} - {unhashed}:
        with pytest.raises(ValueError, match="unhashed area"):
            openpgp.parse(eddsa(hashed, other))


@pytest.mark.parametrize(
    "hashed",
    [
        b"",
        KEY_ID,
        NAMED + NAMED,
        NAMED + b"\x09\x10" + bytes(8),
        NAMED[:-1],
        b"\x16\x21\5" + FINGERPRINT,
    ],
)
def test_signature_whose_signed_part_does_not_name_one_key_is_refused(hashed: bytes) -> None:
    with pytest.raises(ValueError, match=r"issuer|cut short"):
        openpgp.parse(eddsa(hashed, KEY_ID))


@pytest.mark.parametrize("kind", [*KINDS, "openpgp-subkey"])
def test_canonical_leaves_what_gnupg_writes_alone(kind, vector) -> None:
    armour = vector(kind).armour
    assert openpgp.canonical(armour) == armour


@pytest.mark.parametrize(
    "spelling",
    ["Version header", "lines of 76", "no checksum", "new packet header", "empty unhashed area"],
)
def test_canonical_turns_other_programs_spelling_into_ours(spelling, vector) -> None:
    armour = vector("openpgp-ed25519").armour
    assert openpgp.canonical(SPELLINGS[spelling](armour)) == armour


def test_checksum_of_rfc_4880_has_its_known_value() -> None:
    assert crc24(b"123456789").hex() == "21cf02"


@settings(max_examples=60)
@given(data=st.data())
def test_one_changed_byte_is_never_good(data, vector, judge) -> None:
    case = vector(data.draw(st.sampled_from(KINDS)))
    at = data.draw(st.integers(0, len(case.armour) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != case.armour[at]))
    assert (
        judge(case._replace(armour=case.armour[:at] + bytes([byte]) + case.armour[at + 1 :])).status
        != "good"
    )


@settings(max_examples=60)
@given(data=st.data())
def test_one_changed_byte_under_intact_armour_is_never_good(data, vector, judge) -> None:
    case = vector(data.draw(st.sampled_from(KINDS)))
    content = data_of(case.armour)
    at = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    armour = enarmour(TITLE, content[:at] + bytes([byte]) + content[at + 1 :])
    assert judge(case._replace(armour=armour)).status != "good"


@given(st.binary(max_size=400))
def test_any_content_is_an_outcome_and_not_a_crash(content: bytes) -> None:
    for text in (content, enarmour(TITLE, content), packed(b"\4\0\x16\x08" + content)):
        try:
            openpgp.parse(text)
        except ValueError as error:
            assert str(error)
