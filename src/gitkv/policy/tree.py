"""Finds the policy's text in the tree of a policy commit."""

from __future__ import annotations

import re
from collections.abc import Callable

from gitkv.model.commit import parse_commit
from gitkv.model.oid import BLOB, COMMIT, TREE, Oid
from gitkv.model.refs import POLICY_PATH
from gitkv.model.verdict import POLICY, FormError, reason

_ENTRY = re.compile(rb"([0-7]{5,6}) ([^\x00]+)\x00([\x00-\xff]{20})")


def policy_text(commit: Oid, load: Callable[[Oid, bytes], bytes]) -> bytes:
    """The bytes of `.kv/policy.yaml` as of a commit. Raises FormError when it is not there as a
    plain file.
    """
    oid = parse_commit(load(commit, COMMIT)).tree
    *folders, name = POLICY_PATH.encode().split(b"/")
    for folder in folders:
        oid = _entry(load(oid, TREE), folder, b"40000")
    return load(_entry(load(oid, TREE), name, b"100644"), BLOB)


def _entry(tree: bytes, name: bytes, mode: bytes) -> Oid:
    at = 0
    while (found := _ENTRY.match(tree, at)) is not None:
        if found[1] == mode and found[2] == name:
            return Oid(found[3])
        at = found.end()
    raise FormError(
        reason(
            POLICY,
            "policy.missing",
            POLICY_PATH,
            "a plain file",
            "none",
            "write it and commit it to the branch main",
        )
    )
