"""Only what ssh-keygen writes is a signature; every other spelling of a good one is refused."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gitkv.model.identity import Signature
from gitkv.model.ssh_wire import put_string, read_strings, take_string
from gitkv.sign import sshsig

SSH_KINDS = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519",
    "sk-ecdsa-sha2-nistp256",
]
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
NISTP256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
HEAD = b"SSHSIG\0\0\0\1"


def armoured(blob: bytes, width: int = 70, end: bytes = b"\n") -> bytes:
    text = binascii.b2a_base64(blob, newline=False)
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    return end.join([b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b""])


def blob_of(armour: bytes) -> bytes:
    return binascii.a2b_base64(b"".join(armour.split(b"\n")[1:-2]))


def with_fields(armour: bytes, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """`change` gets key, namespace, reserved, hash, signature."""
    return armoured(HEAD + b"".join(map(put_string, change(read_strings(blob_of(armour)[10:])))))


def with_raw(armour: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """`change` gets the algorithm's own part of the signature."""

    def changed(fields: list[bytes]) -> list[bytes]:
        algorithm, at = take_string(fields[4], 0)
        raw, at = take_string(fields[4], at)
        return [*fields[:4], put_string(algorithm) + put_string(change(raw)) + fields[4][at:]]

    return with_fields(armour, changed)


def grown_s(raw: bytes) -> bytes:
    return raw[:32] + (int.from_bytes(raw[32:], "little") + ED25519_ORDER).to_bytes(32, "little")


def negated_s(raw: bytes) -> bytes:
    r, s = read_strings(raw)
    other = NISTP256_ORDER - int.from_bytes(s, "big")
    return put_string(r) + put_string(other.to_bytes(other.bit_length() // 8 + 1, "big"))


@pytest.mark.parametrize("kind", SSH_KINDS)
def test_golden_signature_of_each_key_type_is_good(kind, vector, judge) -> None:
    case = vector(kind)
    assert judge(case) == Signature("good", case.key.fingerprint, "SSH signature")
    assert sshsig.signing_key(case.armour) == case.key.fingerprint


@pytest.mark.parametrize("kind", SSH_KINDS)
def test_signature_over_another_payload_is_bad(kind, vector, judge) -> None:
    case = vector(kind)
    assert judge(case._replace(payload=case.payload + b"\n")).status == "bad"


ARMOUR_SPELLINGS = {
    "lines of 76": lambda armour: armoured(blob_of(armour), width=76),
    "one line": lambda armour: armoured(blob_of(armour), width=10_000),
    "CRLF": lambda armour: armour.replace(b"\n", b"\r\n"),
    "CR at the end": lambda armour: armour[:-1] + b"\r\n",
    "no final LF": lambda armour: armour[:-1],
    "empty line after": lambda armour: armour + b"\n",
    "empty line before": lambda armour: b"\n" + armour,
    "empty line inside": lambda armour: armour.replace(b"-----\n", b"-----\n\n", 1),
    "text after": lambda armour: armour + b"hello\n",
    "text before": lambda armour: b"hello\n" + armour,
    "space at a line's end": lambda armour: armour.replace(b"\n-----END", b" \n-----END"),
    "twice": lambda armour: armour + armour,
    "NUL inside": lambda armour: armour.replace(b"\n-----END", b"\0\n-----END"),
    "another title": lambda armour: armour.replace(b"SSH SIGNATURE", b"SSH SIGNATURe"),
}


@pytest.mark.parametrize("spelling", ARMOUR_SPELLINGS)
def test_other_armour_around_a_good_signature_is_malformed(spelling, vector, judge) -> None:
    case = vector("ssh-ed25519")
    assert (
        judge(case._replace(armour=ARMOUR_SPELLINGS[spelling](case.armour))).status == "malformed"
    )


def test_unused_bits_of_the_last_base64_character_must_be_zero(vector, judge) -> None:
    case = next(case for case in map(vector, SSH_KINDS) if b"=\n-----END" in case.armour)
    at = case.armour.index(b"=") - 1
    altered = case.armour[:at] + bytes([case.armour[at] + 1]) + case.armour[at + 1 :]
    assert blob_of(altered) == blob_of(case.armour), (
        "the lenient reading must not see the difference, else this tests nothing"
    )
    assert judge(case._replace(armour=altered)).status == "malformed"


FIELD_SPELLINGS = {
    "namespace file": lambda fields: [fields[0], b"file", *fields[2:]],
    "reserved in use": lambda fields: [*fields[:2], b"x", *fields[3:]],
    "hash sha384": lambda fields: [*fields[:3], b"sha384", fields[4]],
    "sixth field": lambda fields: [*fields, b""],
    "bytes after the signature": lambda fields: [*fields[:4], fields[4] + b"\0"],
    "bytes after the key": lambda fields: [fields[0] + b"\0", *fields[1:]],
    "field after the key": lambda fields: [fields[0] + put_string(b""), *fields[1:]],
    "no signature": lambda fields: [*fields[:4], b""],
}


@pytest.mark.parametrize("spelling", FIELD_SPELLINGS)
@pytest.mark.parametrize("kind", SSH_KINDS)
def test_fields_ssh_keygen_would_not_write_are_malformed(kind, spelling, vector, judge) -> None:
    case = vector(kind)
    assert (
        judge(case._replace(armour=with_fields(case.armour, FIELD_SPELLINGS[spelling]))).status
        == "malformed"
    )


def test_other_versions_and_bytes_behind_the_fields_are_malformed(vector, judge) -> None:
    case = vector("ssh-ed25519")
    blob = blob_of(case.armour)
    for other in (
        blob.replace(HEAD, b"SSHSIG\0\0\0\2"),
        blob + b"\0",
        blob + b"\0\0\0\1",
        blob[:-1],
        b"",
        b"SSHSIG",
    ):
        assert judge(case._replace(armour=armoured(other))).status == "malformed"


RAW_SPELLINGS = {
    "s grown by the group's order": ("ssh-ed25519", grown_s),
    "security key's s grown by the group's order": ("sk-ssh-ed25519", grown_s),
    "byte after R and S": ("ssh-ed25519", lambda raw: raw + b"\0"),
    "leading zero of RSA": ("ssh-rsa", lambda raw: b"\0" + raw),
    "leading zero of r": (
        "ecdsa-sha2-nistp256",
        lambda raw: put_string(b"\0" + read_strings(raw)[0]) + put_string(read_strings(raw)[1]),
    ),
    "third number": ("ecdsa-sha2-nistp256", lambda raw: raw + put_string(b"\1")),
    "byte after s": ("sk-ecdsa-sha2-nistp256", lambda raw: raw + b"\0"),
    "zero s": (
        "ecdsa-sha2-nistp384",
        lambda raw: put_string(read_strings(raw)[0]) + put_string(b""),
    ),
    "negative s": (
        "ecdsa-sha2-nistp521",
        lambda raw: put_string(read_strings(raw)[0]) + put_string(b"\xff"),
    ),
}


@pytest.mark.parametrize("spelling", RAW_SPELLINGS)
def test_other_spellings_of_the_numbers_are_malformed(spelling, vector, judge) -> None:
    kind, change = RAW_SPELLINGS[spelling]
    case = vector(kind)
    assert judge(case._replace(armour=with_raw(case.armour, change))).status == "malformed"


def test_rsa_signature_grown_by_the_modulus_is_malformed(vector, judge) -> None:
    case = vector("ssh-rsa")
    modulus = int.from_bytes(read_strings(case.key.material)[2], "big")

    def grown(raw: bytes) -> bytes:
        return (int.from_bytes(raw, "big") + modulus).to_bytes(257, "big").removeprefix(b"\0")

    for change in (
        grown,
        lambda raw: modulus.to_bytes(256, "big"),
    ):  # the second is as long as an honest one
        assert judge(case._replace(armour=with_raw(case.armour, change))).status == "malformed"


def test_rsa_with_sha1_is_malformed(vector, judge) -> None:
    case = vector("ssh-rsa")
    armour = with_fields(
        case.armour,
        lambda fields: [
            *fields[:4],
            fields[4].replace(put_string(b"rsa-sha2-512"), put_string(b"ssh-rsa")),
        ],
    )
    assert judge(case._replace(armour=armour)).status == "malformed"


def test_both_halves_of_an_ecdsa_pair_are_good_because_openssh_writes_either(vector, judge) -> None:
    case = vector("ecdsa-sha2-nistp256")
    assert judge(case._replace(armour=with_raw(case.armour, negated_s))).status == "good"


@pytest.mark.parametrize(
    ("flags", "good"), [(b"\1", True), (b"\5", True), (b"\0", False), (b"\4", False)]
)
def test_security_key_counts_only_when_it_was_touched(flags: bytes, good: bool) -> None:
    private = Ed25519PrivateKey.generate()
    kind, payload, application = b"sk-ssh-ed25519@openssh.com", b"tree x\n", b"ssh:"
    blob = b"".join(map(put_string, (kind, private.public_key().public_bytes_raw(), application)))
    behind = flags + (9).to_bytes(4, "big")
    message = (
        hashlib.sha256(application).digest()
        + behind
        + hashlib.sha256(sshsig.signed_data(payload)).digest()
    )
    signature = put_string(kind) + put_string(private.sign(message)) + behind
    armour = armoured(HEAD + b"".join(map(put_string, (blob, b"git", b"", b"sha512", signature))))
    assert sshsig.holds(sshsig.parse(armour), payload) is good


@given(data=st.data())
def test_one_changed_byte_is_never_good(data, vector, judge) -> None:
    case = vector(data.draw(st.sampled_from(SSH_KINDS)))
    at = data.draw(st.integers(0, len(case.armour) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != case.armour[at]))
    assert (
        judge(case._replace(armour=case.armour[:at] + bytes([byte]) + case.armour[at + 1 :])).status
        != "good"
    )


@given(data=st.data())
def test_one_changed_byte_under_intact_armour_is_never_good(data, vector, judge) -> None:
    case = vector(data.draw(st.sampled_from(SSH_KINDS)))
    blob = blob_of(case.armour)
    at = data.draw(st.integers(0, len(blob) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != blob[at]))
    assert (
        judge(case._replace(armour=armoured(blob[:at] + bytes([byte]) + blob[at + 1 :]))).status
        != "good"
    )


@given(st.binary(max_size=400))
def test_any_blob_is_an_outcome_and_not_a_crash(blob: bytes) -> None:
    for text in (blob, armoured(blob), armoured(HEAD + blob)):
        try:
            sshsig.parse(text)
        except ValueError as error:
            assert str(error)
