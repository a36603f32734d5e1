"""Where one may write, by the policy."""

from __future__ import annotations

import pytest

from gitkv.client.whoami import writable_prefixes
from gitkv.model.policy import NamespacePolicy, Policy, Principal, Writer
from gitkv.model.refs import Namespace

MAIN = Namespace("main")


@pytest.mark.parametrize(
    ("own", "allowed", "expected"),
    [
        ((), (), [""]),
        ((b"cfg:",), (), ["cfg:"]),
        ((), (b"cfg:", b"%C3%A9"), ["é", "cfg:"]),
        ((b"cfg:a", b"x"), (b"cfg:",), ["cfg:a"]),
        ((b"c",), (b"cfg:", b"d"), ["cfg:"]),
        ((b"x",), (b"cfg:",), None),
    ],
)
def test_where_one_may_write_is_inside_both_kinds_of_prefixes(
    own: tuple[bytes, ...], allowed: tuple[bytes, ...], expected: list[str] | None
) -> None:
    rules = NamespacePolicy(MAIN, (Writer("ann", own),), allowed)
    policy = Policy((Principal("ann", ()), Principal("ben", ())), (rules,))
    assert writable_prefixes(policy, MAIN, "ann") == expected
    assert writable_prefixes(policy, MAIN, "ben") is None
    assert writable_prefixes(policy, MAIN, "") is None
    assert writable_prefixes(policy, Namespace("other"), "ann") is None
