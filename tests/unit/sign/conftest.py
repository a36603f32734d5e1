"""Golden signatures, and a verifier without a gpg: what it judges by itself is judged here."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.golden_signatures import NOW_S, Vector, read_vector

from gitkv.model.identity import Signature
from gitkv.sign.verifier import SignatureVerifier


@pytest.fixture(scope="session")
def vector() -> Callable[[str], Vector]:
    """`vector("ssh-rsa")`: the payload, its golden signature, and the key that made it."""
    return read_vector


@pytest.fixture(scope="session")
def judge() -> Callable[[Vector], Signature]:
    """The outcome for a vector, with its own key in the policy, at NOW_S."""
    verifier = SignatureVerifier("/nonexistent/gnupg", {"PATH": "/nonexistent"})
    return lambda case: verifier.verify(case.payload, case.armour, [case.key], NOW_S)
