"""Public key lines that are spelled well and are no keys: for some everybody can sign, for others
nobody can.
"""

from __future__ import annotations

import binascii

from gitkv.model.ssh_wire import put_string

PRIME_2203_BITS, PRIME_1279_BITS = 2**2203 - 1, 2**1279 - 1
IDENTITY = (1).to_bytes(32, "little")


def ssh_line(kind: bytes, *fields: bytes) -> bytes:
    """An OpenSSH public key line of these fields, ended by LF."""
    return kind + b" " + binascii.b2a_base64(b"".join(map(put_string, (kind, *fields))))


def mpint(value: int) -> bytes:
    """A positive number as SSH spells it, without its length."""
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def rsa_line(modulus: int, exponent: int = 65537) -> bytes:
    return ssh_line(b"ssh-rsa", mpint(exponent), mpint(modulus))


NO_KEYS = {
    "identity": ssh_line(b"ssh-ed25519", IDENTITY),
    "identity in a security key": ssh_line(b"sk-ssh-ed25519@openssh.com", IDENTITY, b"ssh:"),
    "off the curve": ssh_line(b"ecdsa-sha2-nistp256", b"nistp256", b"\4" + b"\1" * 64),
    "square modulus": rsa_line(PRIME_1279_BITS**2),
    "cube as modulus": rsa_line(PRIME_1279_BITS**3),
    "prime modulus": rsa_line(PRIME_2203_BITS),
    "exponent 1": rsa_line(PRIME_1279_BITS * PRIME_2203_BITS, 1),
}
