"""SSHSIG, the signature format of `ssh-keygen -Y sign` (OpenSSH PROTOCOL.sshsig), with one accepted
spelling (spec/attestation 5.2).

Reading and writing need no cryptography, so a client can show who signed cheaply; only `holds`
imports it. Whose key it is and whether the key may still sign are left to `verifier.py`.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from gitkv.model import ssh_wire
from gitkv.model.key_numbers import is_product

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

BEGIN, END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
ARMOUR_BYTES_MAX = 16 * 1024
_MAGIC, _VERSION, _NAMESPACE = b"SSHSIG", (1).to_bytes(4, "big"), b"git"
_LINE_CHARS = 70
_BODY = re.compile(rb"(?:[A-Za-z0-9+/]{70}\n)*[A-Za-z0-9+/]{1,70}={0,2}\n")
_HASHES = frozenset({b"sha512", b"sha256"})
_RSA_ALGORITHMS = frozenset({b"rsa-sha2-256", b"rsa-sha2-512"})
_TOUCHED = 0x01  # the security key's "user present" flag
_COUNTER_BYTES = 5  # one byte of flags, four of counter
_ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


class SshSignature(NamedTuple):
    """A well-formed signature. `raw` is the algorithm's own part; `flags_and_counter` is empty
    unless a security key signed.
    """

    key_blob: bytes
    hash_name: bytes
    algorithm: bytes
    raw: bytes
    flags_and_counter: bytes = b""


def parse(armour: bytes) -> SshSignature:
    """The signature in `armour`. Raises ValueError for anything `ssh-keygen -Y sign -n git` would
    not have written.
    """
    blob = _dearmour(armour)
    if blob[: len(_MAGIC) + 4] != _MAGIC + _VERSION:
        raise ValueError("expected SSHSIG version 1")
    fields = ssh_wire.read_strings(blob[len(_MAGIC) + 4 :])
    if len(fields) != 5:
        raise ValueError(f"signature has {len(fields)} fields, expected 5")
    key_blob, namespace, reserved, hash_name, signature = fields
    if namespace != _NAMESPACE or reserved or hash_name not in _HASHES:
        raise ValueError(
            "expected namespace git, an empty reserved field, and hash sha512 or sha256"
        )
    return _signature(key_blob, hash_name, signature)


def encode(key_blob: bytes, algorithm: bytes, raw: bytes, hash_name: bytes = b"sha512") -> bytes:
    """The armour around a finished signature, byte for byte as ssh-keygen writes it."""
    signature = ssh_wire.put_string(algorithm) + ssh_wire.put_string(raw)
    return _enarmour(
        _MAGIC
        + _VERSION
        + b"".join(map(ssh_wire.put_string, (key_blob, _NAMESPACE, b"", hash_name, signature)))
    )


def signed_data(payload: bytes, hash_name: bytes = b"sha512") -> bytes:
    """The bytes the key signs for `payload`."""
    digest = hashlib.new(hash_name.decode("ascii"), payload).digest()
    return _MAGIC + b"".join(map(ssh_wire.put_string, (_NAMESPACE, b"", hash_name, digest)))


def fingerprint(blob: bytes) -> str:
    """`SHA256:...` of a key blob, as `ssh-keygen -l` prints it."""
    return ssh_wire.fingerprint(blob)


def signing_key(armour: bytes) -> str:
    """The fingerprint of the key a signature names, unproved: for showing, never for trusting.
    Raises ValueError.
    """
    return ssh_wire.fingerprint(parse(armour).key_blob)


def holds(signature: SshSignature, payload: bytes) -> bool:
    """Whether the named key made this signature over `payload`."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    message = signed_data(payload, signature.hash_name)
    fields = ssh_wire.key_fields(signature.key_blob)
    if fields[0] == b"ssh-rsa" and not is_product(ssh_wire.positive_mpint(fields[2])):
        return False  # anybody could have made it
    try:
        if signature.flags_and_counter:
            message = _security_key_message(signature, fields[-1], message)
        _check(signature, fields, message)
    except (
        InvalidSignature,
        UnsupportedAlgorithm,
        ValueError,
    ):  # ValueError: a point off the curve, a modulus that cannot be one
        return False
    return True


def _dearmour(armour: bytes) -> bytes:
    if len(armour) > ARMOUR_BYTES_MAX or not armour.startswith(BEGIN) or not armour.endswith(END):
        raise ValueError("expected one armoured SSH signature with nothing before or after it")
    body = armour[len(BEGIN) : -len(END)]
    if _BODY.fullmatch(body) is None:
        raise ValueError("expected base64 in lines of 70 characters")
    try:
        blob = binascii.a2b_base64(body.replace(b"\n", b""), strict_mode=True)
    except binascii.Error as error:
        raise ValueError(f"armour is not base64: {error}") from None
    if _enarmour(blob) != armour:  # unused bits in the last character, an overlong last line
        raise ValueError("armour is not in the form ssh-keygen writes")
    return blob


def _enarmour(blob: bytes) -> bytes:
    text = binascii.b2a_base64(blob, newline=False)
    lines = [text[at : at + _LINE_CHARS] + b"\n" for at in range(0, len(text), _LINE_CHARS)]
    return BEGIN + b"".join(lines) + END


def _signature(key_blob: bytes, hash_name: bytes, signature: bytes) -> SshSignature:
    key = ssh_wire.key_fields(key_blob)
    kind = key[0]
    algorithm, at = ssh_wire.take_string(signature, 0)
    raw, at = ssh_wire.take_string(signature, at)
    rest = signature[at:]
    if algorithm not in (_RSA_ALGORITHMS if kind == b"ssh-rsa" else {kind}):
        raise ValueError(
            f"signature algorithm {algorithm[:64]!r} does not belong to a key of type "
            f"{kind.decode()}"
        )
    if len(rest) != (_COUNTER_BYTES if kind.startswith(b"sk-") else 0):
        raise ValueError("signature field has bytes too many or too few")
    _check_raw(kind, key, raw)
    return SshSignature(key_blob, hash_name, algorithm, raw, rest)


def _check_raw(kind: bytes, key: list[bytes], raw: bytes) -> None:
    """The algorithm's own part has one spelling: no number grown by the group's order, no padding,
    no bytes after it.
    """
    if b"ed25519" in kind:
        if (
            len(raw) != 64 or int.from_bytes(raw[32:], "little") >= _ED25519_ORDER
        ):  # RFC 8032 5.1.7: S in [0, L)
            raise ValueError("ed25519 signature is not in its canonical form")
    elif kind == b"ssh-rsa":
        modulus = ssh_wire.positive_mpint(key[2])
        if len(raw) != (modulus.bit_length() + 7) // 8 or int.from_bytes(raw, "big") >= modulus:
            raise ValueError("RSA signature is not as long as its modulus and below it")
    else:
        # s and n-s both verify. OpenSSH and hardware keys write whichever comes out, so refusing
        # one would refuse half of the honest signatures: this is the one malleation left, and it
        # cannot change what was signed, by whom, or where in the ledger it stands.
        if len([ssh_wire.positive_mpint(field) for field in ssh_wire.read_strings(raw)]) != 2:
            raise ValueError("ECDSA signature is not two numbers")


def _security_key_message(signature: SshSignature, application: bytes, message: bytes) -> bytes:
    """What a FIDO key signs (OpenSSH PROTOCOL.u2f). Like sshd's default, an untouched key's
    signature does not count.
    """
    if not signature.flags_and_counter[0] & _TOUCHED:
        raise ValueError("the security key was not touched")
    return (
        hashlib.sha256(application).digest()
        + signature.flags_and_counter
        + hashlib.sha256(message).digest()
    )


def _check(signature: SshSignature, fields: list[bytes], message: bytes) -> None:
    kind = fields[0]
    if b"ed25519" in kind:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        Ed25519PublicKey.from_public_bytes(fields[1]).verify(signature.raw, message)
    elif kind == b"ssh-rsa":
        _check_rsa(signature, _rsa_key(fields), message)
    else:
        _check_ecdsa(signature.raw, _ecdsa_key(fields), message)


def _rsa_key(fields: list[bytes]) -> RSAPublicKey:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    return RSAPublicNumbers(
        ssh_wire.positive_mpint(fields[1]), ssh_wire.positive_mpint(fields[2])
    ).public_key()


def _check_rsa(signature: SshSignature, key: RSAPublicKey, message: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    algorithm = hashes.SHA512() if signature.algorithm == b"rsa-sha2-512" else hashes.SHA256()
    key.verify(signature.raw, message, PKCS1v15(), algorithm)


def _ecdsa_key(fields: list[bytes]) -> EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    curves: dict[bytes, ec.EllipticCurve] = {
        b"nistp256": ec.SECP256R1(),
        b"nistp384": ec.SECP384R1(),
        b"nistp521": ec.SECP521R1(),
    }
    return ec.EllipticCurvePublicKey.from_encoded_point(curves[fields[1]], fields[2])


def _check_ecdsa(raw: bytes, key: EllipticCurvePublicKey, message: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    r, s = map(ssh_wire.positive_mpint, ssh_wire.read_strings(raw))
    algorithm = (
        hashes.SHA256()
        if key.key_size <= 256
        else hashes.SHA384()
        if key.key_size <= 384
        else hashes.SHA512()
    )
    key.verify(encode_dss_signature(r, s), message, ECDSA(algorithm))
