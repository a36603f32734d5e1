"""Only the spelling that follows from the signed part of an OpenPGP signature is accepted; GnuPG
alone would take many.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.openpgp_spellings import KINDS, SPELLINGS, TITLE, body_of, number, numbers_at, packed

from gitkv.model.openpgp_packets import crc24, enarmour, take_mpi
from gitkv.model.public_key import openpgp_keys
from gitkv.sign import openpgp


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_other_spellings_of_a_good_signature_are_malformed(spelling, vector, judge) -> None:
    case = vector("openpgp-ed25519")
    outcome = judge(case._replace(armour=SPELLINGS[spelling](case.armour)))
    assert outcome.status == "malformed", outcome


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


@given(st.binary(max_size=400))
def test_any_content_is_an_outcome_and_not_a_crash(content: bytes) -> None:
    for text in (content, enarmour(TITLE, content), packed(b"\4\0\x16\x08" + content)):
        try:
            openpgp.parse(text)
        except ValueError as error:
            assert str(error)
