"""The receipt in the answer to a push is verified before the clone goes on from it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest
from support import answering_gateway

from gitkv import IntegrityError, Store
from gitkv.client.trust.memory import written_ref
from gitkv.sign.process import Start
from gitkv.sign.signers import SshSigner

_SSH = """\
#!/bin/sh
for word; do :; done
case $word in
*upload-pack*) exec sh -c "$word" ;;
*) PYTHONPATH={path} exec {python} {script} {repo} {how} ;;
esac
"""


@pytest.fixture
def answered(team) -> Callable[[str], Store]:
    """`answered(how)` is a clone whose pushes get such receipts."""

    def serve(how: str) -> Store:
        store = team.clone("alice")
        store.refresh()
        team.ssh.write_text(
            _SSH.format(
                path=":".join(entry for entry in sys.path if entry),
                python=sys.executable,
                script=answering_gateway.__file__,
                repo=team.server,
                how=how,
            )
        )
        return store

    return serve


def test_a_right_receipt_reaches_the_caller_and_the_clone_goes_on_from_it(answered, team) -> None:
    store = answered("right")
    first, second = store.set("a", b"1"), store.set("a", b"2")
    assert second.receipt == team.tip(team.server, "refs/kv-watchlog/main@e1")
    assert (second.seq, store["a"]) == (first.seq + 1, b"2")


@pytest.mark.parametrize("how", answering_gateway.WRONG)
def test_a_receipt_that_does_not_verify_is_said_and_changes_nothing(
    answered, team, how: str
) -> None:
    store = answered(how)
    trusted = team.tip(team.root / "alice")
    with pytest.raises(IntegrityError, match="receipt") as caught:
        store.set("a", b"1")
    assert (
        caught.value.exit_code == 8 and f"trusts main@0 {trusted}, as before" in caught.value.hint
    )
    assert team.tip(team.root / "alice") == trusted
    assert not store._replica.read_refs([written_ref(store._replica.ns)])


def test_a_receipt_under_a_policy_that_is_new_here_is_verified_by_it(answered, team) -> None:
    store = answered("right")
    text = team.policy(team.gateway.public_line) + b"# changed\n"
    admin = SshSigner("ssh-keygen", str(team.admin.private), Start(os.environ, ""))
    policy = team.gateway.change_policy(text, admin)
    assert store.set("a", b"1").changed
    assert team.tip(team.root / "alice", "refs/kv-trust/policy") == policy
