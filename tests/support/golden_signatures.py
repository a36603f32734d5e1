"""The golden signatures of `vectors/signatures`: each with its payload and the key that made it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gitkv.model.identity import PublicKey
from gitkv.model.public_key import parse_openpgp_key, parse_ssh_key

FOLDER = Path(__file__).parents[1] / "vectors" / "signatures"
NOW_S = 1_700_000_600  # ten minutes after the OpenPGP vectors were made


class Vector(NamedTuple):
    payload: bytes
    armour: bytes
    key: PublicKey


def read_vector(name: str) -> Vector:
    """The vector of a kind of key, such as "ssh-rsa"."""
    payload, armour = (FOLDER / "payload").read_bytes(), (FOLDER / f"{name}.sig").read_bytes()
    if name.startswith("openpgp-"):
        key = parse_openpgp_key((FOLDER / f"{name}.asc").read_bytes())
    else:
        key = parse_ssh_key((FOLDER / f"{name}.pub").read_bytes())
    return Vector(payload, armour, key)
