from __future__ import annotations

from itertools import permutations

import pytest

from gitkv.model.heads import ChunkHead, Heads
from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import EpochLabel, Namespace, Ref, RefUpdate
from gitkv.model.verdict import REASONS_MAX, Verdict
from gitkv.wire.push_grammar import PolicyPush, TransactionPush, classify
from gitkv.wire.receive_pack import Command, ProposedCommands

A, B = Oid(b"a" * 20), Oid(b"b" * 20)
LEDGER, INDEX, POLICY = (
    Command(A, B, ref) for ref in (b"refs/kv/main", b"refs/kv-index/main", b"refs/heads/main")
)


def push(
    *commands: Command, atomic: bool = True, shallow: bool = False, count: int = 0
) -> ProposedCommands:
    words = frozenset({b"atomic"} if atomic else ())
    return ProposedCommands(commands, words, shallow, count or len(commands), True, b"")


def moved(command: Command) -> RefUpdate:
    return RefUpdate(Ref(command.ref), command.old, command.new)


def rules(*commands: Command, atomic: bool = True) -> tuple[int, list[str]]:
    verdict = classify(push(*commands, atomic=atomic))
    assert isinstance(verdict, Verdict)
    return verdict.exit_code, [entry.rule for entry in verdict.reasons]


@pytest.mark.parametrize("commands", [(LEDGER, INDEX), (INDEX, LEDGER)])
def test_a_ledger_with_its_index_is_a_transaction_in_any_order(
    commands: tuple[Command, ...],
) -> None:
    assert classify(push(*commands)) == TransactionPush(
        Namespace("main"), Heads(LEDGER.old, INDEX.old), Heads(LEDGER.new, INDEX.new)
    )


CHUNKS = Command(A, B, b"refs/kv-chunks/main@e1")


@pytest.mark.parametrize("commands", list(permutations((LEDGER, INDEX, CHUNKS))))
def test_chunks_travel_with_their_ledger(commands: tuple[Command, ...]) -> None:
    epoch = EpochLabel("e1")
    assert classify(push(*commands)) == TransactionPush(
        Namespace("main"),
        Heads(LEDGER.old, INDEX.old, ChunkHead(epoch, A)),
        Heads(LEDGER.new, INDEX.new, ChunkHead(epoch, B)),
    )


def test_chunks_do_not_travel_otherwise() -> None:
    assert rules(CHUNKS) == (3, ["push.incomplete"])
    assert rules(LEDGER, CHUNKS) == (3, ["push.incomplete"])
    other_epoch = Command(A, B, b"refs/kv-chunks/main@e2")
    assert rules(LEDGER, INDEX, CHUNKS, other_epoch) == (3, ["push.incomplete"])
    other_ns = Command(A, B, b"refs/kv-chunks/spare@e1")
    assert rules(LEDGER, INDEX, other_ns) == (3, ["push.one-namespace"])
    gone = Command(A, ZERO_OID, b"refs/kv-chunks/main@e1")
    assert rules(LEDGER, INDEX, gone) == (3, ["push.deletion"])


@pytest.mark.parametrize("epoch", [b"", b"../x", b"e1\n", b"e1/x", b"-e1", b"e" * 64, b"\xff"])
def test_chunks_of_an_odd_epoch_are_refused(epoch: bytes) -> None:
    odd = Command(A, B, b"refs/kv-chunks/main@" + epoch)
    assert rules(LEDGER, INDEX, odd) == (3, ["push.epoch"])


@pytest.mark.parametrize("ns", [b"", b"Main", b"main/x", b"a..b", b"main@e0"])
def test_chunks_of_an_odd_namespace_are_refused(ns: bytes) -> None:
    odd = Command(A, B, b"refs/kv-chunks/" + ns + b"@e1")
    assert rules(LEDGER, INDEX, odd) == (3, ["push.namespace"])


def test_a_new_namespace_is_left_to_the_gateway() -> None:
    found = classify(
        push(Command(ZERO_OID, B, b"refs/kv/new"), Command(ZERO_OID, B, b"refs/kv-index/new"))
    )
    assert isinstance(found, TransactionPush)
    assert (found.ns, found.old.ledger) == ("new", ZERO_OID)


def test_the_policy_travels_alone_and_needs_no_atomic() -> None:
    assert classify(push(POLICY, atomic=False)) == PolicyPush(moved(POLICY))
    assert rules(POLICY, LEDGER, INDEX) == (3, ["push.policy-alone"])


OUTSIDE = {
    "another branch": b"refs/heads/other",
    "a branch below main": b"refs/heads/main/x",
    "main in another case": b"refs/heads/Main",
    "main with a line feed": b"refs/heads/main\n",
    "main after a line feed": b"x\nrefs/heads/main",
    "a tag": b"refs/tags/v1",
    "HEAD": b"HEAD",
    "main without its path": b"main",
    "replace": b"refs/replace/" + b"a" * 40,
    "bisect": b"refs/bisect/bad",
    "worktree": b"refs/worktree/x",
    "a worktree's HEAD": b"worktrees/x/HEAD",
    "notes": b"refs/notes/commits",
    "stash": b"refs/stash",
    "an option": b"--upload-pack=x",
    "a command": b"$(id)",
    "not UTF-8": b"refs/\xff\xfe",
    "kv in another case": b"refs/KV/main",
    "kv in full-width letters": "refs/ｋｖ/main".encode(),
    "an escaped slash": b"refs%2fkv%2fmain",
    "two slashes": b"refs//kv/main",
    "dots": b"refs/heads/../kv/main",
    "the namespace folder": b"refs/kv",
    "a traversal": b"../../etc/passwd",
}


@pytest.mark.parametrize("ref", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_a_ref_outside_of_the_allow_list_is_refused(ref: bytes) -> None:
    assert rules(Command(A, B, ref)) == (3, ["push.ref"])


NAMESPACES = {
    "empty": b"",
    "below another": b"main/x",
    "upper case": b"Main",
    "a line feed": b"main\n",
    "NFC": "é".encode(),
    "NFD": "e\u0301".encode(),
    "not UTF-8": b"\xff",
    "an escape": b"main%2fx",
    "an option": b"--upload-pack=x",
    "a command": b"$(id)",
    "a traversal": b"..",
    "two dots": b"a..b",
    "a lock file": b"main.lock",
    "a hidden file": b".main",
    "64 letters": b"a" * 64,
    "8 KiB": b"a" * 8000,
    "the terminal": b"\x1b[2J",
    "an epoch": b"main@e1",
}


@pytest.mark.parametrize("prefix", [b"refs/kv/", b"refs/kv-index/"])
@pytest.mark.parametrize("name", NAMESPACES.values(), ids=NAMESPACES.keys())
def test_a_name_that_is_no_namespace_is_refused(prefix: bytes, name: bytes) -> None:
    assert rules(Command(A, B, prefix + name)) == (3, ["push.namespace"])


@pytest.mark.parametrize("kind", [b"watchlog", b"mirror", b"archive", b"epoch", b"audited"])
def test_a_ref_of_the_gateways_own_is_refused_as_such(kind: bytes) -> None:
    verdict = classify(push(Command(A, B, b"refs/kv-%b/main" % kind)))
    assert isinstance(verdict, Verdict)
    (found,) = verdict.reasons
    assert (found.code, found.rule, found.got) == (
        3,
        "push.gateway-ref",
        "one written by the gateway only",
    )


def test_a_deletion_is_refused_whatever_else_moves() -> None:
    gone = Command(A, ZERO_OID, b"refs/kv/main")
    assert rules(gone) == (3, ["push.deletion"])
    assert rules(gone, INDEX) == (3, ["push.deletion"])
    assert rules(Command(ZERO_OID, ZERO_OID, b"refs/kv/main"), INDEX) == (3, ["push.deletion"])


def test_delete_plus_create_of_one_ref_is_refused_for_both() -> None:
    commands = (Command(A, ZERO_OID, b"refs/kv/main"), Command(ZERO_OID, B, b"refs/kv/main"), INDEX)
    assert rules(*commands) == (3, ["push.deletion", "push.ref-twice"])


def test_one_ref_twice_is_refused_even_when_both_agree() -> None:
    assert rules(LEDGER, LEDGER, INDEX) == (3, ["push.ref-twice"])
    assert rules(POLICY, POLICY) == (3, ["push.ref-twice"])


def test_a_command_that_moves_nothing_is_refused() -> None:
    assert rules(Command(A, A, b"refs/kv/main"), INDEX) == (3, ["push.no-op"])


def test_several_refs_without_atomic_are_refused() -> None:
    assert rules(LEDGER, INDEX, atomic=False) == (3, ["push.not-atomic"])


@pytest.mark.parametrize("command", [LEDGER, INDEX])
def test_half_a_transaction_is_refused(command: Command) -> None:
    assert rules(command) == (3, ["push.incomplete"])


def test_two_namespaces_in_one_push_are_refused() -> None:
    assert rules(LEDGER, Command(A, B, b"refs/kv-index/other")) == (3, ["push.one-namespace"])


def test_a_push_of_nothing_is_refused() -> None:
    assert rules() == (3, ["push.empty"])


def test_nine_commands_are_refused_with_their_true_number() -> None:
    verdict = classify(push(*[LEDGER] * 9, count=5000))
    assert isinstance(verdict, Verdict)
    assert [(entry.code, entry.rule, entry.got) for entry in verdict.reasons] == [
        (3, "push.too-many-refs", "5000")
    ]


def test_a_push_from_a_shallow_clone_is_broken_input() -> None:
    verdict = classify(push(LEDGER, INDEX, shallow=True))
    assert isinstance(verdict, Verdict)
    assert (verdict.exit_code, verdict.reasons[0].rule) == (5, "push.shallow")


def test_every_reason_is_given_at_once_as_one_printable_line_each() -> None:
    hostile = [Command(A, ZERO_OID, b"refs/\x1b[31m\xff\n%d" % number) for number in range(8)]
    verdict = classify(push(*hostile, atomic=False, shallow=True))
    assert isinstance(verdict, Verdict)
    assert (len(verdict.reasons), verdict.exit_code) == (2 + 2 * 8, 3)
    assert len(verdict.reasons) <= REASONS_MAX
    assert all(entry.text().isascii() and entry.text().isprintable() for entry in verdict.reasons)
