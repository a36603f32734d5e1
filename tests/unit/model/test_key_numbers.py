"""Keys that are no keys: numbers for which everybody, or nobody, could sign."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import assume, given
from hypothesis import strategies as st
from support.no_keys import (
    IDENTITY,
    PRIME_1279_BITS,
    PRIME_2203_BITS,
    mpint,
    rsa_line,
    ssh_line,
)

from gitkv.model.identity import PublicKey
from gitkv.model.key_numbers import check_ed25519, check_nist_point, check_rsa, is_product
from gitkv.model.openpgp_packets import enarmour
from gitkv.model.public_key import is_sound, parse_openpgp_key, parse_ssh_key
from gitkv.model.ssh_wire import put_string
from gitkv.sign import sshsig

FIELD = 2**255 - 19
# Every encoding of a point of small order, those included that are no canonical encoding.
SMALL_ORDER = [
    bytes.fromhex(text)
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
]
NIST_ORDINARY = {
    b"nistp256": ec.SECP256R1(),
    b"nistp384": ec.SECP384R1(),
    b"nistp521": ec.SECP521R1(),
}


def rsa_modulus() -> int:
    """Of an honest shape: two primes, neither of them ours alone to know."""
    return PRIME_1279_BITS * PRIME_2203_BITS


@pytest.mark.parametrize("point", SMALL_ORDER, ids=lambda point: point.hex()[:4] + point.hex()[-2:])
@pytest.mark.parametrize("kind", [b"ssh-ed25519", b"sk-ssh-ed25519@openssh.com"])
def test_a_point_of_small_order_is_no_ed25519_key(kind: bytes, point: bytes) -> None:
    fields = (point,) if kind == b"ssh-ed25519" else (point, b"ssh:")
    with pytest.raises(ValueError, match=r"small order|not a point"):
        parse_ssh_key(ssh_line(kind, *fields))


def test_anybody_could_sign_with_the_identity_point() -> None:
    """The library takes it, so nobody but us stands between a policy and such a key."""
    signature = IDENTITY + bytes(32)
    Ed25519PublicKey.from_public_bytes(IDENTITY).verify(signature, b"whatever there is to sign")
    blob = put_string(b"ssh-ed25519") + put_string(IDENTITY)
    with pytest.raises(ValueError, match="small order"):
        sshsig.parse(sshsig.encode(blob, b"ssh-ed25519", signature))


@given(st.integers(0, 2**255 - 1))
def test_only_points_of_the_curve_are_taken(y: int) -> None:
    """Half of all numbers are no y of a point: who had such a key in a policy could never sign."""
    assume(y not in (0, 1, FIELD - 1))  # of small order
    try:
        check_ed25519(y.to_bytes(32, "little"))
    except ValueError:
        taken = False
    else:
        taken = True
    d = -121665 * pow(121666, -1, FIELD)
    x_squared = (y * y - 1) * pow(d * y * y + 1, -1, FIELD)
    assert taken == (y < FIELD and pow(x_squared, (FIELD - 1) // 2, FIELD) == 1)  # Euler


@given(st.binary(min_size=32, max_size=32))
def test_every_real_ed25519_key_is_taken(seed: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    check_ed25519(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


@pytest.mark.parametrize("curve", NIST_ORDINARY)
def test_a_point_off_its_curve_is_no_ecdsa_key(curve: bytes) -> None:
    good = (
        ec.derive_private_key(5, NIST_ORDINARY[curve])
        .public_key()
        .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    )
    check_nist_point(curve, good)
    size = len(good) // 2
    for bad in (
        good[:-1] + bytes([good[-1] ^ 1]),
        b"\4" + bytes(2 * size),
        b"\4" + b"\xff" * (2 * size),
        good[: 1 + size] + bytes(size),
    ):
        with pytest.raises(ValueError, match="not on the curve"):
            parse_ssh_key(ssh_line(b"ecdsa-sha2-" + curve, curve, bad))
        with pytest.raises(ValueError):
            ec.EllipticCurvePublicKey.from_encoded_point(NIST_ORDINARY[curve], bad)
    with pytest.raises(ValueError, match="uncompressed"):
        parse_ssh_key(ssh_line(b"ecdsa-sha2-" + curve, curve, b"\0"))  # infinity, in SEC 1
    if curve == b"nistp256":
        with pytest.raises(ValueError, match="not on the curve"):
            parse_ssh_key(
                ssh_line(b"sk-ecdsa-sha2-nistp256@openssh.com", curve, b"\4" + bytes(64), b"ssh:")
            )


@pytest.mark.parametrize(
    ("modulus", "exponent", "why"),
    [
        (PRIME_2203_BITS, 1, "exponent"),
        (PRIME_2203_BITS, 65536, "exponent"),
        (PRIME_2203_BITS, 2**32 + 1, "exponent"),
        (PRIME_2203_BITS, PRIME_1279_BITS, "exponent"),
        (PRIME_2203_BITS * 2, 65537, "factors"),
        (PRIME_2203_BITS * 3, 65537, "factors"),
        (PRIME_2203_BITS * 4093, 65537, "factors"),
        (PRIME_1279_BITS**2, 65537, "factors"),
        (2**2048 - 1, 65537, "factors"),
        (PRIME_1279_BITS, 65537, "1279 bits"),
        (PRIME_2203_BITS**4, 65537, "8812 bits"),
    ],
)
def test_degenerate_rsa_numbers_are_no_key(modulus: int, exponent: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_ssh_key(rsa_line(modulus, exponent))
    with pytest.raises(ValueError, match=why):
        check_rsa(modulus, exponent)


@pytest.mark.parametrize(
    ("modulus", "is_good"),
    [
        (PRIME_2203_BITS, False),
        (PRIME_1279_BITS**3, False),
        ((2**607 - 1) ** 5, False),
        (rsa_modulus(), True),
    ],
)
def test_a_modulus_whose_private_half_everybody_knows_is_found(
    modulus: int, *, is_good: bool
) -> None:
    key = parse_ssh_key(rsa_line(modulus))
    assert (is_product(modulus), is_sound(key)) == (is_good, is_good)


def test_a_signature_by_a_prime_modulus_does_not_hold() -> None:
    modulus = PRIME_2203_BITS
    blob = b"".join(map(put_string, (b"ssh-rsa", mpint(65537), mpint(modulus))))
    payload = b"what nobody with a key has signed"
    digest = hashlib.sha512(sshsig.signed_data(payload)).digest()
    info = bytes.fromhex("3051300d060960864801650304020305000440") + digest
    size = (modulus.bit_length() + 7) // 8
    padded = b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info
    root = pow(int.from_bytes(padded, "big"), pow(65537, -1, modulus - 1), modulus)
    armour = sshsig.encode(blob, b"rsa-sha2-512", root.to_bytes(size, "big"))
    signature = sshsig.parse(armour)
    RSAPublicNumbers(65537, modulus).public_key().verify(
        signature.raw, sshsig.signed_data(payload), PKCS1v15(), SHA512()
    )
    assert not sshsig.holds(signature, payload)


def openpgp_block(*keys: bytes) -> bytes:
    packets = [
        bytes([0x99 if not at else 0xB9]) + len(body).to_bytes(2, "big") + body
        for at, body in enumerate(b"\4" + bytes(4) + key for key in keys)
    ]
    return enarmour(b"PUBLIC KEY BLOCK", b"".join(packets))


def mpi(value: int) -> bytes:
    return value.bit_length().to_bytes(2, "big") + value.to_bytes(
        -(-value.bit_length() // 8), "big"
    )


def openpgp_rsa(modulus: int, exponent: int = 65537) -> bytes:
    return b"\1" + mpi(modulus) + mpi(exponent)


def openpgp_eddsa(point: bytes, curve: str = "2b06010401da470f01") -> bytes:
    oid = bytes.fromhex(curve)
    return b"\x16" + bytes([len(oid)]) + oid + mpi(int.from_bytes(b"\x40" + point, "big"))


def openpgp_ecdsa(point: bytes, curve: str = "2a8648ce3d030107") -> bytes:
    oid = bytes.fromhex(curve)
    return b"\x13" + bytes([len(oid)]) + oid + mpi(int.from_bytes(point, "big"))


REAL = openpgp_eddsa(  # RFC 8032 7.1, test 1
    bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
)
NO_KEYS = {
    "identity": (openpgp_eddsa(IDENTITY), "small order"),
    "no point": (openpgp_eddsa(bytes([2]) + bytes(31)), "not a point"),
    "another curve for EdDSA": (openpgp_eddsa(IDENTITY, "2b060104019755010501"), "unsupported"),
    "off the curve": (openpgp_ecdsa(b"\4" + bytes([1]) * 64), "not on the curve"),
    "secp256k1": (openpgp_ecdsa(b"\4" + bytes([1]) * 64, "2b8104000a"), "unsupported"),
    "RSA with a factor 3": (openpgp_rsa(PRIME_2203_BITS * 3), "factors"),
    "RSA of a square": (openpgp_rsa(PRIME_1279_BITS**2), "factors"),
    "RSA with exponent 1": (openpgp_rsa(PRIME_2203_BITS, 1), "exponent"),
    "RSA of 1279 bits": (openpgp_rsa(PRIME_1279_BITS), "1279 bits"),
    "bytes after": (openpgp_rsa(rsa_modulus()) + b"\0", "bytes after"),
}


@pytest.mark.parametrize("name", NO_KEYS)
def test_openpgp_primary_keys_and_subkeys_are_held_to_the_same(name: str) -> None:
    key, why = NO_KEYS[name]
    parse_openpgp_key(openpgp_block(REAL))
    with pytest.raises(ValueError, match=why):
        parse_openpgp_key(openpgp_block(key))
    with pytest.raises(ValueError, match=why):
        parse_openpgp_key(openpgp_block(REAL, key))


@pytest.mark.parametrize("algorithm", [17, 18, 16, 3, 99])
def test_an_openpgp_key_that_cannot_sign_here_is_no_primary_key(algorithm: int) -> None:
    with pytest.raises(ValueError, match="no supported kind"):
        parse_openpgp_key(openpgp_block(bytes([algorithm]) + mpi(5)))
    assert parse_openpgp_key(openpgp_block(REAL, bytes([algorithm]) + mpi(5)))


def test_an_openpgp_modulus_that_is_prime_is_not_sound() -> None:
    def key(modulus: int) -> PublicKey:
        return parse_openpgp_key(openpgp_block(REAL, openpgp_rsa(modulus)))

    assert is_sound(key(rsa_modulus()))
    assert not is_sound(key(PRIME_2203_BITS))
