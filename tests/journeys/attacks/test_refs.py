"""Attacks by ref names and ref moves: everything but one transaction or one policy change is
refused, by name and before the pack.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from support.forge import (
    FLUSH,
    PLAIN_CAPABILITIES,
    TAG,
    ZERO,
    Answered,
    Forge,
    Forged,
    Unharmed,
    assert_refused,
    commands,
    emitter,
    pack_of,
    pkt,
)

from gitkv.model.oid import Oid
from gitkv.testing.world import World, run

pytestmark = pytest.mark.usefixtures("unharmed")

LEDGER, INDEX, POLICY = b"refs/kv/main", b"refs/kv-index/main", b"refs/heads/main"

OUTSIDE = {
    "a branch": b"refs/heads/evil",
    "a tag": b"refs/tags/v1",
    "a replacement": b"refs/replace/0123456789012345678901234567890123456789",
    "grafts by ref": b"refs/grafts/x",
    "HEAD": b"HEAD",
    "bisect": b"refs/bisect/bad",
    "a worktree's": b"refs/worktree/x",
    "main-worktree": b"main-worktree/HEAD",
    "notes": b"refs/notes/commits",
    "FETCH_HEAD": b"FETCH_HEAD",
    "a path upwards": b"refs/kv/../heads/main",
    "an absolute path": b"/etc/passwd",
    "no refs": b"kv/main",
    "an option": b"--upload-pack=x",
    "a substitution": b"$(id)",
    "a shell": b"refs/kv/;id",
    "another case": b"refs/KV/main",
    "another case of the branch": b"refs/heads/Main",
    "a percent sign": b"refs/kv%2fmain",
    "an empty name": b"refs/kv/",
    "a deeper name": b"refs/kv/main/x",
    "a namespace in capitals": b"refs/kv/MAIN",
    "a namespace with a percent sign": b"refs/kv/ma%69n",
    "a namespace in another normal form": b"refs/kv/"
    + unicodedata.normalize("NFD", "\u00e9").encode(),
    "a full-width namespace": "refs/kv/\uff4d\uff41\uff49\uff4e".encode(),
    "LF in a name": b"refs/kv/main\nrefs/heads/evil",
    "LF at the end of a line that git cuts": b"refs/kv/main\n\n",
    "CR in a name": b"refs/kv/main\r",
    "ESC in a name": b"refs/kv/\x1b[2Jmain",
    "not UTF-8": b"refs/kv/\xff\xfe",
    "a space": b"refs/kv/main x",
    "a lock": b"refs/kv/main.lock",
    "two dots": b"refs/kv/a..b",
    "a reflog": b"refs/kv/main@{1}",
    "the watchlog": b"refs/kv-watchlog/main@e1",
    "the watermark": b"refs/kv-mirror/main",
    "the audit's mark": b"refs/kv-audited/main",
    "a suspension": b"refs/kv-suspended/626f62",
    "the record of a push": b"refs/kv-unaudited/main/%b" % (b"0" * 40),
    "the archive": b"refs/kv-archive/main@e0",
    "an epoch": b"refs/kv-epoch/main@e2",
}


def send_updates(
    forge: Forge,
    forged: Forged,
    *updates: tuple[bytes, bytes, bytes],
    capabilities: bytes = PLAIN_CAPABILITIES,
) -> Answered:
    return forge.send(commands(updates, capabilities) + pack_of(forged.objects.values()))


def good_updates(forged: Forged) -> list[tuple[bytes, bytes, bytes]]:
    return [(update.ref, bytes(update.old), bytes(update.new)) for update in forged.updates]


@pytest.mark.parametrize("name", OUTSIDE.values(), ids=OUTSIDE)
def test_a_ref_outside_the_allow_list_is_refused_alone(forge: Forge, name: bytes) -> None:
    forged = forge.transaction()

    answered = send_updates(forge, forged, (name, ZERO, forged.ledger))

    assert_refused(answered, 3, "push.ref", "push.namespace", "push.gateway-ref")
    assert len(answered.results) == 1


@pytest.mark.parametrize(
    "name",
    [
        OUTSIDE["a branch"],
        OUTSIDE["a replacement"],
        OUTSIDE["the watchlog"],
        OUTSIDE["LF in a name"],
    ],
)
def test_a_bad_ref_takes_the_good_ones_of_its_push_down_with_it(forge: Forge, name: bytes) -> None:
    forged = forge.transaction()

    answered = send_updates(forge, forged, *good_updates(forged), (name, ZERO, forged.ledger))

    assert_refused(answered, 3, "push.ref", "push.namespace", "push.gateway-ref")
    assert len(answered.results) == 3


def test_a_replacement_that_points_to_itself_never_reaches_the_repository(forge: Forge) -> None:
    forged = forge.transaction()
    own = forge.tip().ledger.oid

    answered = send_updates(forge, forged, (b"refs/replace/" + own.hex().encode(), ZERO, own))

    assert_refused(answered, 3, "push.ref")


def test_an_old_ledger_commit_is_no_way_back(forge: Forge, unharmed: Unharmed) -> None:
    before = forge.tip()
    forge.push_good()
    unharmed.again()
    now = forge.tip()

    answered = forge.send(
        commands(
            [(LEDGER, now.ledger.oid, before.ledger.oid), (INDEX, now.index_oid, before.index_oid)],
            PLAIN_CAPABILITIES,
        )
        + pack_of([])
    )

    assert_refused(answered, 3, "push.not-fast-forward")


def test_a_transaction_on_an_older_base_is_a_conflict_when_the_old_value_is_told_truly(
    forge: Forge, unharmed: Unharmed
) -> None:
    late = forge.transaction()
    forge.push_good()
    unharmed.again()

    answered = forge.push(late)

    assert_refused(answered, 2, "base.stale")
    assert forge.tip().ledger.oid.hex().encode() in answered.reasons[0].text


def test_a_lying_old_value_is_a_conflict_though_the_transaction_fits_the_tip(
    forge: Forge, unharmed: Unharmed
) -> None:
    old = forge.tip().ledger.oid
    forge.push_good()
    unharmed.again()
    forged = forge.transaction()

    lied = [
        (LEDGER, old, bytes(forged.ledger)),
        (INDEX, bytes(forged.updates[1].old), bytes(forged.index)),
    ]
    assert_refused(send_updates(forge, forged, *lied), 2, "base.stale")
    lied = [
        (LEDGER, bytes(forged.updates[0].old), bytes(forged.ledger)),
        (INDEX, ZERO, bytes(forged.index)),
    ]
    assert_refused(send_updates(forge, forged, *lied), 2, "base.stale")


def test_claiming_the_present_value_does_not_rewind_the_ledger(
    forge: Forge, unharmed: Unharmed
) -> None:
    """A forced push in plumbing: an honest old value, a commit built on an older base."""
    late = forge.transaction()
    forge.push_good()
    unharmed.again()
    now = forge.tip()

    answered = send_updates(
        forge, late, (LEDGER, now.ledger.oid, late.ledger), (INDEX, now.index_oid, late.index)
    )

    assert_refused(answered, 3, "push.not-fast-forward")


@pytest.mark.parametrize(
    "refs", [(LEDGER, INDEX), (LEDGER,), (POLICY,)], ids=["ledger and index", "ledger", "policy"]
)
def test_a_deletion_is_refused_even_from_a_client_that_was_not_offered_it(
    forge: Forge, world: World, refs: tuple[bytes, ...]
) -> None:
    held = world.refs(world.gate)
    gone = [(ref, bytes.fromhex(held[ref.decode()]), ZERO) for ref in refs]

    assert_refused(forge.send(commands(gone, PLAIN_CAPABILITIES)), 3, "push.deletion")


def test_the_same_ref_twice_is_refused(forge: Forge) -> None:
    forged = forge.transaction()
    ledger, index = good_updates(forged)

    assert_refused(send_updates(forge, forged, ledger, index, ledger), 3, "push.ref-twice")


def test_deleting_and_creating_a_ref_in_one_push_is_refused(forge: Forge) -> None:
    forged = forge.transaction()
    (ref, old, new), index = good_updates(forged)

    assert_refused(
        send_updates(forge, forged, (ref, old, ZERO), (ref, ZERO, new), index),
        3,
        "push.ref-twice",
        "push.deletion",
    )


def test_several_refs_without_atomic_are_refused(forge: Forge) -> None:
    forged = forge.transaction()

    answered = send_updates(
        forge,
        forged,
        *good_updates(forged),
        capabilities=PLAIN_CAPABILITIES.replace(b" atomic", b""),
    )

    assert_refused(answered, 3, "push.not-atomic")


@pytest.mark.parametrize("left_out", [0, 1], ids=["no ledger", "no index"])
def test_a_ledger_never_moves_without_its_index(forge: Forge, left_out: int) -> None:
    forged = forge.transaction()
    updates = good_updates(forged)
    del updates[left_out]

    assert_refused(send_updates(forge, forged, *updates), 3, "push.incomplete")


@pytest.mark.parametrize("at", [0, 1], ids=["ledger", "index"])
def test_an_atomic_push_with_one_commit_that_was_not_sent_moves_nothing(
    forge: Forge, at: int
) -> None:
    forged = forge.transaction()
    del forged.objects[Oid(bytes(forged.updates[at].new))]

    answered = forge.push(forged)

    assert_refused(answered, 5, "pack.incomplete")


def test_ledger_and_index_of_different_namespaces_do_not_go_together(forge: Forge) -> None:
    forged = forge.transaction()
    ledger, (_, old, new) = good_updates(forged)

    assert_refused(
        send_updates(forge, forged, ledger, (b"refs/kv-index/other", old, new)),
        3,
        "push.one-namespace",
    )


def test_a_namespace_nobody_created_cannot_be_begun_by_a_push(forge: Forge) -> None:
    forged = forge.transaction()

    answered = send_updates(
        forge,
        forged,
        (b"refs/kv/fresh", ZERO, forged.ledger),
        (b"refs/kv-index/fresh", ZERO, forged.index),
    )

    assert_refused(answered, 3, "namespace.unknown")


def test_a_no_op_is_refused(forge: Forge) -> None:
    tip = forge.tip()
    same = [(LEDGER, tip.ledger.oid, tip.ledger.oid), (INDEX, tip.index_oid, tip.index_oid)]

    assert_refused(forge.send(commands(same, PLAIN_CAPABILITIES) + pack_of([])), 3, "push.no-op")


@pytest.mark.parametrize("count", [9, 5000])
def test_thousands_of_refs_are_refused_with_one_reason(forge: Forge, count: int) -> None:
    forged = forge.transaction()
    many = [(b"refs/kv/n%d" % number, ZERO, bytes(forged.ledger)) for number in range(count)]

    answered = send_updates(forge, forged, *many)

    assert_refused(answered, 3, "push.too-many-refs")
    assert answered.seconds < 10


def test_a_flood_of_refs_is_dropped(forge: Forge) -> None:
    oid = bytes(forge.tip().ledger.oid)
    lines = commands(
        [(b"refs/kv/n%d" % number, ZERO, oid) for number in range(10_001)], PLAIN_CAPABILITIES
    )

    assert forge.send(lines).dropped


Make = Callable[[Callable[[bytes, bytes], Oid], Forged], Oid]


def _tag(emit: Callable[[bytes, bytes], Oid], forged: Forged) -> Oid:
    body = (
        b"object %b\ntype commit\ntag t\ntagger A <a@b.c> 1700000000 +0000\n\nx\n"
        % forged.ledger.hex().encode()
    )
    return emit(TAG, body)


WRONG_KINDS: dict[str, Make] = {
    "blob": lambda emit, forged: emit(b"blob", b"no commit"),
    "tree": lambda emit, forged: emit(b"tree", b"100644 x\0" + emit(b"blob", b"no commit")),
    "tag": _tag,
}


@pytest.mark.parametrize("make", WRONG_KINDS.values(), ids=WRONG_KINDS)
def test_the_ledger_takes_commits_only(forge: Forge, make: Make) -> None:
    forged = forge.transaction()
    wrong = make(emitter(forged.objects), forged)
    (ref, old, _), index = good_updates(forged)

    assert_refused(send_updates(forge, forged, (ref, old, wrong), index), 3, "push.not-a-commit")


@pytest.mark.parametrize("make", WRONG_KINDS.values(), ids=WRONG_KINDS)
def test_the_policy_branch_takes_commits_only(forge: Forge, admin_forge: Forge, make: Make) -> None:
    forged = admin_forge.transaction()
    wrong = make(emitter(forged.objects), forged)

    answered = send_updates(
        admin_forge, forged, (POLICY, bytes(admin_forge.policy_commit()), wrong)
    )

    assert_refused(answered, 3, "push.not-a-commit")


@pytest.mark.parametrize("make", WRONG_KINDS.values(), ids=WRONG_KINDS)
def test_the_index_takes_its_one_commit_only(forge: Forge, make: Make) -> None:
    forged = forge.transaction()
    wrong = make(emitter(forged.objects), forged)
    ledger, (ref, old, _) = good_updates(forged)

    assert_refused(send_updates(forge, forged, ledger, (ref, old, wrong)), 8, "index.commit")


def test_a_push_from_a_shallow_clone_is_refused(forge: Forge) -> None:
    forged = forge.transaction()
    shallow = pkt(b"shallow " + forge.tip().ledger.oid.hex().encode())

    answered = forge.send(
        shallow + commands(forged.updates, PLAIN_CAPABILITIES) + pack_of(forged.objects.values())
    )

    assert_refused(answered, 5, "push.shallow")


@pytest.mark.parametrize("option", [b"x\ny", b"a;b", b"plain"])
def test_push_options_are_dropped_for_they_were_not_offered(forge: Forge, option: bytes) -> None:
    forged = forge.transaction()
    lines = commands(forged.updates, PLAIN_CAPABILITIES + b" push-options") + pkt(option) + FLUSH

    assert forge.send(lines + pack_of(forged.objects.values())).dropped


def test_a_policy_change_never_travels_with_data(forge: Forge, admin_forge: Forge) -> None:
    change, forged = admin_forge.policy_change(b"version: 1\n"), admin_forge.transaction()
    forged.objects.update(change.objects)

    answered = send_updates(admin_forge, forged, *good_updates(forged), *good_updates(change))

    assert_refused(answered, 3, "push.policy-alone")


# The same tricks on the server's own disk: Stargate is not ready, and says why.


def _graft(world: World) -> None:
    (world.gate / "info").mkdir(exist_ok=True)
    (world.gate / "info" / "grafts").write_text(world.refs(world.gate)["refs/kv/main"] + "\n")


def _alternate(world: World) -> None:
    (world.gate / "objects" / "info").mkdir(exist_ok=True)
    (world.gate / "objects" / "info" / "alternates").write_text(f"{world.mirror}/objects\n")


def _replacement(world: World) -> None:
    oid = world.refs(world.gate)["refs/kv/main"]
    with (world.gate / "packed-refs").open("a") as file:
        file.write(f"{oid} refs/replace/{oid}\n")


def _symref(world: World) -> None:
    run(["git", "symbolic-ref", "refs/kv/other", "refs/kv/main"], world.base_env(), world.gate)


TAMPERED: dict[str, Callable[[World], object]] = {
    "grafts": _graft,
    "shallow": lambda world: (world.gate / "shallow").write_text(
        world.refs(world.gate)["refs/kv/main"] + "\n"
    ),
    "alternates": _alternate,
    "refs/replace": _replacement,
    "refs/kv/other": _symref,
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_repository_that_shows_another_history_is_not_served(tmp_path: Path, what: str) -> None:
    tampered = World(tmp_path).create()
    TAMPERED[what](tampered)

    try:
        with pytest.raises(AssertionError, match=f"did not start[^$]*{what}"):
            tampered.start()
    finally:
        tampered.close()
