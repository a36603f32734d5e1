"""Who writes: the name and address that git is configured with, and the key that signs."""

from __future__ import annotations

import os
import re

from gitkv.client.replica import Replica
from gitkv.errors import PolicyError, ToolError
from gitkv.ledger.compose import Sign, Stamp
from gitkv.ledger.uuid7 import uuid7
from gitkv.model.commit import Identity, parse_identity
from gitkv.model.verdict import FormError
from gitkv.sign.signers import signer_from_config

_CRUD = re.compile(r"[<>\x00-\x1f\x7f]")  # git drops these from names, too


class Author:
    """The writer of one transaction; its id stays the same however often the transaction is rebuilt
    on a new tip.
    """

    def __init__(self, replica: Replica, text: str) -> None:
        """Raises ToolError when git has no name or address, or its signing settings make no
        sense.
        """
        self._host = replica.host
        self._name, self._email = configured_identity(replica)
        signer = signer_from_config(
            replica.config,
            replica.host.env,
            replica.repository.work_tree or os.fspath(replica.repository.git_dir),
        )
        self.signs = signer is not None
        self.sign: Sign = signer.sign if signer is not None else _no_signature
        self.txn = uuid7(self._host.now_s() * 1000, self._host.random_bytes(10))
        self._text = text

    def stamp(self) -> Stamp:
        """Who and when, now."""
        return Stamp(Identity(self._name, self._email, self._host.now_s()), self.txn, self._text)


def require_signer(replica: Replica, author: Author) -> None:
    """Raises PolicyError before anything is sent that a known policy would refuse for lack of a
    signature.
    """
    if author.signs:
        return
    from gitkv.client.policy import read_policy

    policy = read_policy(replica)
    if policy is not None and policy.signatures_required:
        raise PolicyError(
            "this store takes signed transactions only, and no signing key is configured",
            hint="run: git kv remote setup",
        )


def _no_signature(payload: bytes) -> bytes:
    return b""


def configured_identity(replica: Replica) -> tuple[str, str]:
    """Name and address for commits, as git has them. Raises ToolError when there is none."""
    env, config = replica.host.env, replica.config
    name = (
        env.get("GIT_COMMITTER_NAME") or config.get("committer.name") or config.get("user.name", "")
    )
    email = (
        env.get("GIT_COMMITTER_EMAIL")
        or config.get("committer.email")
        or config.get("user.email")
        or env.get("EMAIL", "")
    )
    name, email = _CRUD.sub("", name).strip(), _CRUD.sub("", email).strip()
    if not name or not email:
        missing = "user.name" if not name else "user.email"
        raise ToolError(
            f"git does not know who you are: {missing} is not set",
            hint=f"git config --global {missing} VALUE",
        )
    try:
        parse_identity(Identity(name, email, 1).line())
    except (FormError, ValueError) as error:
        raise ToolError(
            f"the configured identity cannot stand in a commit: {error}",
            hint="check user.name and user.email",
        ) from None
    return name, email
