"""Public keys as people write them in a policy, made into `PublicKey` values.

Only spelling and structure are checked, without cryptography: whether a key can verify anything
shows when it is used (`sign/`).
"""

from __future__ import annotations

import binascii
import re

from gitkv.model import openpgp_packets as openpgp
from gitkv.model import ssh_wire
from gitkv.model.identity import PublicKey

OPENPGP_KEY_BYTES_MAX = 256 * 1024
_LINE = re.compile(
    rb"([a-z0-9@.-]{1,64}) ([A-Za-z0-9+/]{16,8192}={0,2})(?: [^\x00-\x1f\x7f]{0,512})?\n?"
)
_KEY_TAGS = frozenset({openpgp.TAG_PUBLIC_KEY, openpgp.TAG_PUBLIC_SUBKEY})
_ALLOWED_TAGS = _KEY_TAGS | {openpgp.TAG_SIGNATURE, 12, 13, 17}  # and trust, user ids, photographs
_RSA_BITS_MIN = 2048


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
    return _checked_keys(
        [openpgp.key_packet(packet.body) for packet in found if packet.tag in _KEY_TAGS]
    )


def _checked_keys(keys: list[openpgp.KeyPacket]) -> list[openpgp.KeyPacket]:
    if keys[0].algorithm == openpgp.ALGORITHM_RSA:
        bits = openpgp.take_mpi(keys[0].numbers, 0)[0].bit_length()
        if bits < _RSA_BITS_MIN:
            raise ValueError(f"RSA key has {bits} bits, expected at least {_RSA_BITS_MIN}")
    return keys
