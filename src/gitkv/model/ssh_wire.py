"""The SSH wire encoding (RFC 4251 section 5) as far as keys and signatures need it, with one
accepted spelling for each value.

Every function raises ValueError. Base64 armour and what the fields mean are left to the callers.
"""

from __future__ import annotations

from hashlib import sha256

from gitkv.model.key_numbers import check_ed25519, check_nist_point, check_rsa

_FIELDS = {
    b"ssh-ed25519": 2,
    b"ssh-rsa": 3,
    b"sk-ssh-ed25519@openssh.com": 3,
    b"sk-ecdsa-sha2-nistp256@openssh.com": 4,
    b"ecdsa-sha2-nistp256": 3,
    b"ecdsa-sha2-nistp384": 3,
    b"ecdsa-sha2-nistp521": 3,
}


def take_string(data: bytes, at: int) -> tuple[bytes, int]:
    """The `string` at offset `at`, and the offset after it."""
    start = at + 4
    end = start + int.from_bytes(data[at:start], "big")
    if start > len(data) or end > len(data):
        raise ValueError(f"field at byte {at} is cut short")
    return data[start:end], end


def read_strings(data: bytes) -> list[bytes]:
    """The `string` fields that fill `data` exactly."""
    fields, at = [], 0
    while at < len(data):
        field, at = take_string(data, at)
        fields.append(field)
    return fields


def put_string(field: bytes) -> bytes:
    """A field with its length in front, in four bytes (RFC 4251, section 5)."""
    return len(field).to_bytes(4, "big") + field


def positive_mpint(field: bytes) -> int:
    """The value of an `mpint` above zero in its shortest form; a longer form would be a second
    spelling of the same number.
    """
    value = int.from_bytes(field, "big")
    if not value or field[0] >= 0x80 or len(field) != value.bit_length() // 8 + 1:
        raise ValueError("expected a positive number in its shortest form")
    return value


def fingerprint(blob: bytes) -> str:
    """What `ssh-keygen -l` prints for the key: "SHA256:" and unpadded base64."""
    from binascii import b2a_base64

    return "SHA256:" + b2a_base64(sha256(blob).digest(), newline=False).rstrip(b"=").decode("ascii")


def key_fields(blob: bytes) -> list[bytes]:
    """The fields of a public key blob (RFC 4253 6.6) of a supported type, the type first; its
    numbers are those of a key.
    """
    fields = read_strings(blob)
    kind = fields[0] if fields else b""
    if kind not in _FIELDS:
        raise ValueError(
            f"key type {kind[:64]!r} is not one of "
            f"{', '.join(sorted(name.decode() for name in _FIELDS))}"
        )
    if len(fields) != _FIELDS[kind]:
        raise ValueError(f"{kind.decode()} key has {len(fields)} fields, expected {_FIELDS[kind]}")
    if b"ecdsa" in kind:
        _check_point(kind, fields[1], fields[2])
    elif kind == b"ssh-rsa":
        check_rsa(positive_mpint(fields[2]), positive_mpint(fields[1]))
    else:
        check_ed25519(fields[1])
    return fields


def _check_point(kind: bytes, curve: bytes, point: bytes) -> None:
    expected = kind.removesuffix(b"@openssh.com").rpartition(b"-")[2]
    if curve != expected:
        raise ValueError(f"key names curve {curve[:64]!r}, expected {expected.decode()}")
    check_nist_point(curve, point)
