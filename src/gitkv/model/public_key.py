"""Public keys as people write them in a policy, made into `PublicKey` values.

Spelling, structure and numbers are checked, without cryptography: who has a `PublicKey` from here
has a key, of which nobody but its owner is known to have the private half. The one check that takes
long, `is_sound`, is left to whoever lets a key in or relies on a signature of it.
"""

from __future__ import annotations

import binascii
import re

from gitkv.model import openpgp_packets as openpgp
from gitkv.model import ssh_wire
from gitkv.model.identity import PublicKey
from gitkv.model.key_numbers import (
    check_ed25519,
    check_nist_point,
    check_rsa,
    is_product,
)

OPENPGP_KEY_BYTES_MAX = 256 * 1024
_LINE = re.compile(
    rb"([a-z0-9@.-]{1,64}) ([A-Za-z0-9+/]{16,8192}={0,2})(?: [^\x00-\x1f\x7f]{0,512})?\n?"
)
_KEY_TAGS = frozenset({openpgp.TAG_PUBLIC_KEY, openpgp.TAG_PUBLIC_SUBKEY})
_ALLOWED_TAGS = _KEY_TAGS | {openpgp.TAG_SIGNATURE, 12, 13, 17}  # and trust, user ids, photographs
# Curves of ECDSA and EdDSA as OpenPGP names them (RFC 6637 11, RFC 9580 9.2)
_NIST_CURVES = {
    bytes.fromhex("2a8648ce3d030107"): b"nistp256",
    bytes.fromhex("2b81040022"): b"nistp384",
    bytes.fromhex("2b81040023"): b"nistp521",
}
_ED25519 = bytes.fromhex("2b06010401da470f01")


def ssh_key_blob(line: bytes) -> bytes:
    """The key blob of an OpenSSH public key line, `type base64 [comment]`. Raises ValueError."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError(
            "expected one OpenSSH public key line: type, base64, and perhaps a comment"
        )
    try:
        blob = binascii.a2b_base64(match[2], strict_mode=True)
    except binascii.Error as error:
        raise ValueError(f"SSH key is not base64: {error}") from None
    if binascii.b2a_base64(blob, newline=False) != match[2]:
        raise ValueError("SSH key is not base64 in its only form")
    kind = ssh_wire.key_fields(blob)[0]
    if kind != match[1]:
        raise ValueError(f"line says {match[1].decode()}, the key inside is {kind.decode()}")
    return blob


def parse_ssh_key(line: bytes) -> PublicKey:
    """The key of an OpenSSH public key line (a trailing LF is allowed). Raises ValueError."""
    blob = ssh_key_blob(line)
    return PublicKey("ssh", blob, ssh_wire.fingerprint(blob))


def parse_openpgp_key(armour: bytes) -> PublicKey:
    """The one key of an armoured block, as `gpg --export --armor` writes it (a final LF may be
    missing). Raises ValueError.
    """
    text = armour if armour.endswith(b"\n") else armour + b"\n"
    return PublicKey("openpgp", text, openpgp_keys(text)[0].fingerprint)


def openpgp_keys(armour: bytes) -> list[openpgp.KeyPacket]:
    """The primary key and its subkeys of version 4, in order. Raises ValueError."""
    if len(armour) > OPENPGP_KEY_BYTES_MAX:
        raise ValueError(
            f"OpenPGP key has {len(armour)} bytes, expected at most {OPENPGP_KEY_BYTES_MAX}"
        )
    if b"PRIVATE KEY" in armour[:64]:
        raise ValueError("this is a private key; export the public one with gpg --export --armor")
    block = openpgp.dearmour(armour)
    if block.title != b"PUBLIC KEY BLOCK":
        raise ValueError(f"expected a PGP PUBLIC KEY BLOCK, got {block.title.decode()}")
    found = openpgp.packets(block.data)
    tags = [packet.tag for packet in found]
    if tags[0] != openpgp.TAG_PUBLIC_KEY or tags.count(openpgp.TAG_PUBLIC_KEY) != 1:
        raise ValueError("expected exactly one OpenPGP key in the block, primary key first")
    if not _ALLOWED_TAGS.issuperset(tags):
        raise ValueError("the block holds packets that are no part of a public key")
    keys = [openpgp.key_packet(packet.body) for packet in found if packet.tag in _KEY_TAGS]
    if keys[0].algorithm not in openpgp.SIGNING_ALGORITHMS:
        raise ValueError("OpenPGP key is of no supported kind: expected RSA, ECDSA or EdDSA")
    for key in keys:
        _check_numbers(key)
    return keys


def is_sound(key: PublicKey) -> bool:
    """Whether each RSA modulus in the key is provably a product of different primes. Takes 0.1 s
    and more where there is one that was not asked for before.
    """
    return all(map(is_product, _moduli(key)))


def _moduli(key: PublicKey) -> list[int]:
    if key.kind == "openpgp":
        return [
            openpgp.take_mpi(entry.numbers, 0)[0]
            for entry in openpgp_keys(key.material)
            if entry.algorithm == openpgp.ALGORITHM_RSA
        ]
    fields = ssh_wire.key_fields(key.material)
    return [ssh_wire.positive_mpint(fields[2])] if fields[0] == b"ssh-rsa" else []


def _check_numbers(key: openpgp.KeyPacket) -> None:
    """Those of a key that could sign; no other subkey matters to anybody."""
    if key.algorithm == openpgp.ALGORITHM_RSA:
        modulus, at = openpgp.take_mpi(key.numbers, 0)
        exponent, end = openpgp.take_mpi(key.numbers, at)
        check_rsa(modulus, exponent)
    elif key.algorithm in (openpgp.ALGORITHM_ECDSA, openpgp.ALGORITHM_EDDSA):
        end = _check_point(key)
    else:
        return
    if end != len(key.numbers):
        raise ValueError("OpenPGP key has bytes after its numbers")


def _check_point(key: openpgp.KeyPacket) -> int:
    size = key.numbers[0] if key.numbers else 0
    curve = key.numbers[1 : 1 + size]
    number, end = openpgp.take_mpi(key.numbers, 1 + size)
    point = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if key.algorithm == openpgp.ALGORITHM_EDDSA and curve == _ED25519 and point[:1] == b"\x40":
        check_ed25519(point[1:])
    elif key.algorithm == openpgp.ALGORITHM_ECDSA and curve in _NIST_CURVES:
        check_nist_point(_NIST_CURVES[curve], point)
    else:
        raise ValueError(
            "OpenPGP key is on an unsupported curve: expected Ed25519, NIST P-256, P-384 or P-521"
        )
    return end
