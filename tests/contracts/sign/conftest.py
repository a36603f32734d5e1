"""Golden signatures, and a verifier with a gpg directory of its own."""

from __future__ import annotations

import os
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
def verifier(gpg_tool: str, tmp_path_factory: pytest.TempPathFactory) -> SignatureVerifier:
    return SignatureVerifier(str(tmp_path_factory.mktemp("policy-keys") / "gnupg"), os.environ)


@pytest.fixture(scope="session")
def judge(verifier: SignatureVerifier) -> Callable[[Vector], Signature]:
    """The outcome for a vector, with its own key in the policy, at NOW_S."""
    return lambda case: verifier.verify(case.payload, case.armour, [case.key], NOW_S)
