"""Golden signatures of `vectors/signatures`, and a verifier with a gpg directory of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from gitkv.model.identity import PublicKey, Signature
from gitkv.model.public_key import parse_openpgp_key, parse_ssh_key
from gitkv.sign.verifier import SignatureVerifier

VECTORS = Path(__file__).parents[2] / "vectors" / "signatures"
NOW_S = 1_700_000_600  # ten minutes after the OpenPGP vectors were made


class Vector(NamedTuple):
    payload: bytes
    armour: bytes
    key: PublicKey


@pytest.fixture(scope="session")
def vector() -> Callable[[str], Vector]:
    """`vector("ssh-rsa")`: the payload, its golden signature, and the key that made it."""

    def read(name: str) -> Vector:
        payload, armour = (VECTORS / "payload").read_bytes(), (VECTORS / f"{name}.sig").read_bytes()
        if name.startswith("openpgp-"):
            return Vector(
                payload, armour, parse_openpgp_key((VECTORS / f"{name}.asc").read_bytes())
            )
        return Vector(payload, armour, parse_ssh_key((VECTORS / f"{name}.pub").read_bytes()))

    return read


@pytest.fixture(scope="session")
def verifier(gpg_tool: str, tmp_path_factory: pytest.TempPathFactory) -> SignatureVerifier:
    return SignatureVerifier(str(tmp_path_factory.mktemp("policy-keys") / "gnupg"), os.environ)


@pytest.fixture(scope="session")
def judge(verifier: SignatureVerifier) -> Callable[[Vector], Signature]:
    """The outcome for a vector, with its own key in the policy, at NOW_S."""
    return lambda case: verifier.verify(case.payload, case.armour, [case.key], NOW_S)
