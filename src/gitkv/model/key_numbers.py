"""Whether the numbers of a public key are those of a key at all.

The libraries that verify signatures load more than that. With an Ed25519 point of small order, or
an RSA modulus whose factors anybody finds, everybody can sign; with a point off its curve, nobody
can. Neither may ever stand for a person. Plain arithmetic, so that every floor can ask, and a
policy with such a key cannot even be read.

Every `check_*` raises ValueError. Sources: RFC 8032 5.1.3; SEC 1 3.2.2; NIST SP 800-89 5.3.3.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd, isqrt, prod

RSA_BITS_MIN = 2048
RSA_BITS_MAX = 8192
RSA_EXPONENT_MAX = (1 << 32) - 1

_P = 2**255 - 19  # the field of Ed25519, and its curve's constant
_D = -121665 * pow(121666, -1, _P) % _P
_Y_OF_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
# The y of the 8 points whose order divides the cofactor: 1, 2, 4 (twice) and 8 (four times).
_Y_OF_SMALL_ORDER = frozenset({1, _P - 1, 0, _Y_OF_ORDER_8, _P - _Y_OF_ORDER_8})

# The field and the constant b of y² = x³ - 3x + b (SEC 2)
_CURVES = {
    b"nistp256": (
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    ),
    b"nistp384": (
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    ),
    b"nistp521": (
        2**521 - 1,
        0x51953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
    ),
}
_COORDINATE_BYTES = {b"nistp256": 32, b"nistp384": 48, b"nistp521": 66}
_SMALL_FACTORS_BELOW = 4096
_WITNESSES = (2, 3, 5)
_KNOWN_MAX = 4096  # keys whose answer is kept: each is asked about again at every signature


@lru_cache(maxsize=_KNOWN_MAX)
def check_ed25519(encoded: bytes) -> None:
    """A point of Ed25519 in its one encoding, and not of small order: with one of those, a
    signature without any secret verifies.
    """
    if len(encoded) != 32:
        raise ValueError(f"ed25519 key has {len(encoded)} bytes, expected 32")
    y = int.from_bytes(encoded, "little") & ((1 << 255) - 1)
    if y >= _P or not _has_x(y):
        raise ValueError("ed25519 key is not a point of the curve")
    if y in _Y_OF_SMALL_ORDER:
        raise ValueError("ed25519 key is a point of small order, for which anybody could sign")


def _has_x(y: int) -> bool:
    """Whether some x belongs to y: x² = u / v has a root (RFC 8032 5.1.3, steps 2 and 3)."""
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    return v * x * x % _P in (u, -u % _P)


@lru_cache(maxsize=_KNOWN_MAX)
def check_nist_point(curve: bytes, encoded: bytes) -> None:
    """An uncompressed point (0x04, x, y) of nistp256, nistp384 or nistp521. These curves have no
    points of small order, and this encoding has none at infinity.
    """
    size = _COORDINATE_BYTES[curve]
    if len(encoded) != 1 + 2 * size or encoded[0] != 4:
        raise ValueError("key's point is not in the uncompressed form")
    field, b = _CURVES[curve]
    x, y = int.from_bytes(encoded[1 : 1 + size], "big"), int.from_bytes(encoded[1 + size :], "big")
    if max(x, y) >= field or (y * y - x * x * x + 3 * x - b) % field:
        raise ValueError(f"key's point is not on the curve {curve.decode()}")


@lru_cache(maxsize=_KNOWN_MAX)
def check_rsa(modulus: int, exponent: int) -> None:
    """What is quickly seen of an RSA key; `is_product` sees the rest."""
    bits = modulus.bit_length()
    if not RSA_BITS_MIN <= bits <= RSA_BITS_MAX:
        raise ValueError(f"RSA key has {bits} bits, expected {RSA_BITS_MIN} to {RSA_BITS_MAX}")
    if not exponent & 1 or not 3 <= exponent <= RSA_EXPONENT_MAX:
        raise ValueError(f"RSA key's exponent is not an odd number from 3 to {RSA_EXPONENT_MAX}")
    if gcd(modulus, _small_primes()) != 1 or isqrt(modulus) ** 2 == modulus:
        raise ValueError("RSA key's modulus has factors that anybody finds")


@lru_cache(maxsize=1)
def _small_primes() -> int:
    """The product of all primes below _SMALL_FACTORS_BELOW."""
    sieve = bytearray([1]) * _SMALL_FACTORS_BELOW
    for number in range(2, isqrt(_SMALL_FACTORS_BELOW) + 1):
        multiples = range(number * number, _SMALL_FACTORS_BELOW, number)
        sieve[multiples.start :: number] = bytes(len(multiples))
    return prod(number for number in range(2, _SMALL_FACTORS_BELOW) if sieve[number])


@lru_cache(maxsize=_KNOWN_MAX)
def is_product(modulus: int) -> bool:
    """Whether an odd modulus is provably composed of different primes. Of a prime, or the power of
    one, everybody knows the private half. Takes 0.1 s and more for 4096 bits.

    For n = p^k, b^(n-1) is 1 modulo p whatever b is, so gcd(b^(n-1) - 1, n) is at least p; a
    proper modulus shows 1 there for nearly every b.
    """
    return any(gcd(_power(base, modulus - 1, modulus) - 1, modulus) == 1 for base in _WITNESSES)


def _power(base: int, exponent: int, modulus: int) -> int:
    """As pow(), in steps: it holds up no other thread for as long as it takes."""
    result = 1
    for bit in bin(exponent)[2:]:
        result = result * result % modulus
        if bit == "1":
            result = result * base % modulus
    return result
