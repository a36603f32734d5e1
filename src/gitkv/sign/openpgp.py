"""The one accepted spelling of an OpenPGP signature (spec/attestation 5.3 and 5.4), read without
cryptography.

OpenPGP leaves much of a signature outside what is signed: armour, packet headers, the unhashed
area, the digest's first bytes. Here each of them follows from the signed part, so a third party
cannot make a second good commit out of one. The mathematics is left to `gnupg.py`.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from gitkv.model import openpgp_packets as openpgp

ARMOUR_BYTES_MAX = 16 * 1024
_TITLE = b"SIGNATURE"
_ISSUER, _ISSUER_FINGERPRINT = 16, 33  # subpacket types
_HASHES = {8: "sha256", 9: "sha384", 10: "sha512"}
_RSA, _EDDSA = openpgp.ALGORITHM_RSA, openpgp.ALGORITHM_EDDSA
_NUMBERS = {_RSA: 1, openpgp.ALGORITHM_ECDSA: 2, _EDDSA: 2}
_ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


class OpenPgpSignature(NamedTuple):
    """A signature packet taken apart. `issuer`: fingerprint of the key or subkey, from the signed
    part. `numbers`: the algorithm's own.
    """

    issuer: str
    algorithm: int
    hash_name: str
    hashed_part: bytes
    unhashed: bytes
    digest_start: bytes
    numbers: tuple[int, ...]


def parse(armour: bytes) -> OpenPgpSignature:
    """The signature in `armour`. Raises ValueError for any spelling but the accepted one."""
    packet = _packet(armour)
    signature = _signature(packet)
    if _encode(packet, signature) != armour:
        raise ValueError("armour, packet header or unhashed area is not in the form GnuPG writes")
    _check_numbers(signature)
    return signature


def canonical(armour: bytes) -> bytes:
    """`armour` in the accepted spelling: other programs leave out the checksum or choose other
    packet headers. Raises ValueError.
    """
    packet = _packet(armour)
    return _encode(packet, _signature(packet))


def signing_key(armour: bytes) -> str:
    """The fingerprint of the key or subkey a signature names, unproved: for showing, never for
    trusting. Raises ValueError.
    """
    return parse(armour).issuer


def covers(signature: OpenPgpSignature, payload: bytes) -> bool:
    """Whether the digest's first bytes fit `payload`. GnuPG does not look at them, so they could be
    changed freely.
    """
    trailer = b"\x04\xff" + len(signature.hashed_part).to_bytes(4, "big")
    return (
        hashlib.new(signature.hash_name, payload + signature.hashed_part + trailer).digest()[:2]
        == signature.digest_start
    )


def fits(signature: OpenPgpSignature, key: openpgp.KeyPacket) -> bool:
    """Whether the signature's numbers are those of this key's algorithm, and below its modulus: s +
    n would verify as well as s.
    """
    if signature.algorithm != key.algorithm:
        return False
    return key.algorithm != _RSA or signature.numbers[0] < openpgp.take_mpi(key.numbers, 0)[0]


def _packet(armour: bytes) -> bytes:
    if len(armour) > ARMOUR_BYTES_MAX:
        raise ValueError(f"signature has {len(armour)} bytes, expected at most {ARMOUR_BYTES_MAX}")
    block = openpgp.dearmour(armour)
    if block.title != _TITLE:
        raise ValueError(f"expected a PGP SIGNATURE, got {block.title.decode()}")
    packets = openpgp.packets(block.data)
    if [packet.tag for packet in packets] != [openpgp.TAG_SIGNATURE]:
        raise ValueError("expected exactly one signature packet")
    return packets[0].body


def _signature(body: bytes) -> OpenPgpSignature:
    if (
        len(body) < 6 or body[0] != 4 or body[1] != 0
    ):  # type 1, text, would let line ends of the payload change
        raise ValueError("expected a version 4 signature over a binary document")
    algorithm, hash_id = body[2], body[3]
    if algorithm not in _NUMBERS or hash_id not in _HASHES:
        raise ValueError("expected RSA, ECDSA or EdDSA with SHA-256, SHA-384 or SHA-512")
    hashed, at = _area(body, 4)
    unhashed, after_area = _area(body, at)
    start = after_area + 2
    numbers = []
    while start < len(body):
        number, start = openpgp.take_mpi(body, start)
        numbers.append(number)
    digest_start = body[after_area : after_area + 2]
    return OpenPgpSignature(
        _issuer(hashed),
        algorithm,
        _HASHES[hash_id],
        body[:at],
        unhashed,
        digest_start,
        tuple(numbers),
    )


def _area(body: bytes, at: int) -> tuple[bytes, int]:
    start = at + 2
    end = start + int.from_bytes(body[at:start], "big")
    if end > len(body):
        raise ValueError("signature packet is cut short")
    return body[start:end], end


def _subpackets(area: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(area):
        first = area[at]
        if first < 192:
            start, length = at + 1, first
        elif first < 255:
            start, length = (
                at + 2,
                (first - 192 << 8) + int.from_bytes(area[at + 1 : at + 2], "big") + 192,
            )
        else:
            start, length = at + 5, int.from_bytes(area[at + 1 : at + 5], "big")
        if not length or start + length > len(area):
            raise ValueError("subpacket is empty or cut short")
        found.append(
            (area[start] & 0x7F, area[start + 1 : start + length])
        )  # the high bit only marks it as critical
        at = start + length
    return found


def _issuer(hashed: bytes) -> str:
    """The fingerprint in the signed part. GnuPG has written it since 2.1.16; without it nothing
    signed says which key is meant.
    """
    subpackets = _subpackets(hashed)
    named = [body for kind, body in subpackets if kind == _ISSUER_FINGERPRINT]
    if len(named) != 1 or len(named[0]) != 21 or named[0][0] != 4:
        raise ValueError("expected the issuer's version 4 fingerprint, once, in the hashed area")
    if any(body != named[0][-8:] for kind, body in subpackets if kind == _ISSUER):
        raise ValueError("issuer's key id and fingerprint contradict each other")
    return named[0][1:].hex().upper()


def _encode(body: bytes, signature: OpenPgpSignature) -> bytes:
    """The accepted spelling: what GnuPG writes. The unhashed area holds the issuer's key id unless
    the hashed area does.
    """
    hashed_kinds = {kind for kind, _ in _subpackets(signature.hashed_part[6:])}
    unhashed = (
        b"" if _ISSUER in hashed_kinds else b"\x09\x10" + bytes.fromhex(signature.issuer)[-8:]
    )
    rest = body[len(signature.hashed_part) + 2 + len(signature.unhashed) :]
    packet = signature.hashed_part + len(unhashed).to_bytes(2, "big") + unhashed + rest
    size = 1 if len(packet) < 0x100 else 2
    return openpgp.enarmour(
        _TITLE, bytes([0x88 if size == 1 else 0x89]) + len(packet).to_bytes(size, "big") + packet
    )


def _check_numbers(signature: OpenPgpSignature) -> None:
    if len(signature.numbers) != _NUMBERS[signature.algorithm] or len(signature.digest_start) != 2:
        raise ValueError("signature has numbers too many or too few")
    if signature.algorithm == _EDDSA:
        r, s = signature.numbers
        if max(r, s).bit_length() > 256:
            raise ValueError("EdDSA signature is not one of Ed25519")
        if (
            int.from_bytes(s.to_bytes(32, "big"), "little") >= _ED25519_ORDER
        ):  # RFC 8032 5.1.7: S in [0, L)
            raise ValueError("EdDSA signature is not in its canonical form")
