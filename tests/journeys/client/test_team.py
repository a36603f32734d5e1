"""Writing through a server that answers, refuses, races, or hangs up. Stock git's receive-pack
stands in for Stargate.
"""

from __future__ import annotations

import threading

import pytest

from gitkv import (
    ConflictError,
    Expect,
    IntegrityError,
    KeyNotFoundError,
    Put,
    RejectedError,
    Store,
    UnavailableError,
    UsageError,
)


def _count(team, repository) -> int:
    return int(team.git("rev-list", "--count", "refs/kv/main", cwd=repository))


def test_a_write_is_on_the_server_and_readable_here_at_once(team):
    store = team.clone("alice")
    written = store.set("a", b"1")
    assert written.changed and team.tip(team.server) == written.commit == team.tip(
        team.root / "alice"
    )
    assert store.value("a", read_from="local").value == b"1"


def test_the_first_write_of_a_fresh_clone_adopts_the_servers_tip(team):
    team.clone("alice").set("a", b"1")
    written = team.clone("bob").set("b", b"2")
    assert written.seq == 2 and _count(team, team.server) == 3


def test_a_write_on_a_stale_clone_is_rebuilt_on_the_servers_tip(team):
    alice, bob = team.clone("alice"), team.clone("bob")
    bob.set("b", b"0")
    alice.set("a", b"1")
    written = bob.set("b", b"2")
    assert written.seq == 3
    assert bob.value("a", read_from="local").value == b"1"


def test_an_expectation_is_judged_at_the_servers_tip_not_at_ours(team):
    alice, bob = team.clone("alice"), team.clone("bob")
    bob.refresh()
    alice.set("lock", b"alice")
    with pytest.raises(ConflictError) as caught:
        bob.set("lock", b"bob", expect=Expect(if_absent=True))
    assert caught.value.actual == alice.entry("lock", read_from="local").etag


def test_a_key_deleted_here_only_because_we_are_behind_is_no_error(team):
    alice, bob = team.clone("alice"), team.clone("bob")
    bob.set("other", b"")
    alice.set("a", b"1")
    assert bob.delete(["a"]).keys_del == 1
    with pytest.raises(KeyNotFoundError):
        bob.delete(["a"])


def test_nothing_to_change_makes_no_commit(team):
    alice = team.clone("alice")
    first = alice.set("a", b"1")
    again = alice.set("a", b"1")
    assert (again.changed, again.commit) == (False, first.commit)
    assert _count(team, team.server) == 2


def test_a_lost_answer_of_a_push_that_happened_is_found_and_not_repeated(team):
    alice = team.clone("alice")
    team.lose_marker.write_text("a")
    written = alice.set("a", b"1")
    assert written.changed and written.commit == team.tip(team.server)
    assert _count(team, team.server) == 2
    assert alice.value("a", read_from="local").value == b"1"


def test_a_push_that_was_lost_on_its_way_is_sent_again_once(team):
    alice = team.clone("alice")
    team.lose_marker.write_text("pp")
    written = alice.set("a", b"1")
    assert written.commit == team.tip(team.server)
    assert _count(team, team.server) == 2


def test_a_landed_push_is_found_below_what_others_wrote_since(team, monkeypatch):
    alice, bob = team.clone("alice"), team.clone("bob")
    alice.set("a", b"0")
    team.lose_marker.write_text("a")
    host = alice._replica.host
    alice._replica.host = host._replace(sleep=lambda seconds: bob.set("b", b"1") and None)
    written = alice.set("a", b"1")
    assert written.seq == 2 and _count(team, team.server) == 4
    assert [revision.seq for revision in alice.history("a")] == [2, 1]


def test_a_landed_push_is_not_repeated_when_another_process_of_the_clone_saw_it_first(team):
    alice, bob = team.clone("alice"), team.clone("bob")
    alice.set("a", b"0")
    team.lose_marker.write_text("a")

    def others_go_on(seconds: float) -> None:
        bob.set("a", b"later")
        team.open("alice").refresh("stargate")

    alice._replica.host = alice._replica.host._replace(sleep=others_go_on)
    assert alice.set("a", b"1").seq == 2
    assert _count(team, team.server) == 4 and alice.value("a", read_from="local").value == b"later"


def test_an_answer_that_stays_lost_says_how_to_find_out(team):
    alice = team.clone("alice")
    team.lose_marker.write_text("p" * 40)
    alice._replica.host = alice._replica.host._replace(sleep=lambda seconds: None)
    with pytest.raises(UnavailableError) as caught:
        alice.set("a", b"1")
    assert "unknown" in str(caught.value) and "git kv wait --oid" in caught.value.hint


def test_writers_of_different_keys_all_succeed(team):
    def write(store: Store, name: str) -> None:
        for number in range(4):
            store.set(f"{name}{number}", b"x")

    stores = {name: team.clone(name) for name in ("alice", "bob", "carol")}
    threads = [threading.Thread(target=write, args=(store, name)) for name, store in stores.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader = team.clone("reader")
    team.publish()
    assert len(list(reader)) == 12 and _count(team, team.server) == 13


def test_a_refusal_is_told_with_the_servers_reason_and_nothing_is_adopted(team):
    alice = team.clone("alice")
    before = alice.set("a", b"0").commit
    hook = team.server / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(RejectedError) as caught:
        alice.set("a", b"1")
    assert "pre-receive hook declined" in str(caught.value) and caught.value.exit_code == 5
    assert alice.value("a", read_from="local").commit == before


def test_a_server_that_went_back_is_reported_and_not_written_to(team):
    alice = team.clone("alice")
    alice.set("a", b"1")
    alice.set("a", b"2")
    team.set_back(team.server)
    with pytest.raises(IntegrityError, match="gone back"):
        alice.set("b", b"3")
    assert alice.value("a", read_from="local").value == b"2"


def test_a_push_address_that_is_not_ssh_is_named(team):
    alice = team.clone("alice")
    team.git(
        "config", "remote.origin.pushurl", "https://stargate.invalid/x", cwd=team.root / "alice"
    )
    with pytest.raises(Exception, match="ssh://"):
        team.open("alice").set("a", b"1")
    alice.close()


def test_a_batch_larger_than_a_pipe_arrives_whole(team):
    alice = team.clone("alice")
    alice.write(
        {f"k{number}": Put(bytes([number % 251]) * 2000) for number in range(300)}
        | {"big": Put(bytes(range(256)) * 4000)}
    )
    team.publish()
    assert len(list(team.clone("bob"))) == 301


def test_reading_from_stargate_needs_no_mirror(team):
    alice, bob = team.clone("alice"), team.clone("bob")
    alice.set("a", b"1")
    assert bob.value("a", read_from="stargate").value == b"1"


def test_waiting_ends_when_the_mirror_shows_the_transaction(team):
    alice, bob = team.clone("alice"), team.clone("bob")
    oid = alice.set("a", b"1").commit
    looks = []

    def publish_at_the_second_look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            team.publish()

    bob._replica.host = bob._replica.host._replace(sleep=publish_at_the_second_look)
    bob.wait(oid, timeout_s=60)
    assert len(looks) == 2 and bob.value("a", read_from="local").value == b"1"


def test_waiting_ends_with_a_timeout_when_the_mirror_never_shows_it(team):
    alice = team.clone("alice")
    oid = alice.set("a", b"1").commit
    clock = iter(range(0, 10_000, 7))
    alice._replica.host = alice._replica.host._replace(
        monotonic_s=lambda: float(next(clock)), sleep=lambda seconds: None
    )
    with pytest.raises(Exception, match="did not show") as caught:
        alice.wait(oid, timeout_s=30)
    assert caught.value.exit_code == 10
    alice.wait(oid, visible_on="stargate", timeout_s=30)


def test_waiting_believes_the_watermark_not_the_ledger_ref(team):
    alice = team.clone("alice")
    first = alice.set("a", b"1").commit
    second = alice.set("a", b"2").commit
    team.publish()
    team.git("update-ref", "refs/kv-mirror/main", first, cwd=team.mirror)
    clock = iter(range(0, 10_000, 7))
    alice._replica.host = alice._replica.host._replace(
        monotonic_s=lambda: float(next(clock)), sleep=lambda seconds: None
    )
    alice.wait(first, timeout_s=30)
    with pytest.raises(Exception, match=f"it is at {first}"):
        alice.wait(second, timeout_s=30)


def test_waiting_does_not_believe_a_watermark_that_is_ahead_of_what_receipts_prove(team):
    alice = team.clone("alice")
    alice.set("a", b"1")
    team.publish()
    second = alice.set("a", b"2").commit
    team.git("push", "--quiet", team.mirror, f"{second}:refs/kv-mirror/main", cwd=team.server)
    clock = iter(range(0, 10_000, 7))
    alice._replica.host = alice._replica.host._replace(
        monotonic_s=lambda: float(next(clock)), sleep=lambda seconds: None
    )
    with pytest.raises(Exception, match="did not show"):
        alice.wait(second, timeout_s=30)
    team.git("update-ref", "-d", "refs/kv-mirror/main", cwd=team.mirror)
    team.publish()
    alice.wait(second, timeout_s=30)


def test_a_lock_in_the_clone_does_not_turn_an_accepted_write_into_a_failure(team):
    warnings: list[str] = []
    team.clone("alice").set("a", b"1")
    alice = team.open("alice", warnings.append)
    alice._replica.host = alice._replica.host._replace(sleep=lambda seconds: None)
    lock = team.root / "alice" / ".git" / "refs" / "kv" / "main.lock"
    lock.touch()
    written = alice.set("a", b"2", expect=Expect(if_match=alice.value("a", read_from="local").etag))
    assert team.tip(team.server) == written.commit
    assert len(warnings) == 1 and "was accepted" in warnings[0] and "main.lock" in warnings[0]
    lock.unlink()
    assert alice.value("a", read_from="stargate").value == b"2"


def test_a_clone_killed_between_its_two_refs_writes_on(team):
    alice = team.clone("alice")
    for number in range(3):
        alice.set("a", b"%d" % number)
    alice._replica.host = alice._replica.host._replace(sleep=lambda seconds: None)
    team.git("update-ref", "refs/kv-index/main", "refs/kv-index/main~2", cwd=team.root / "alice")
    assert alice.set("a", b"3").seq == 4


def test_a_first_fetch_killed_between_its_two_refs_is_done_again(team):
    team.clone("alice").set("a", b"1")
    reader = team.clone("reader")
    team.git(
        "fetch",
        "--quiet",
        team.server,
        "refs/kv/main:refs/remotes/origin-stargate/kv/main",
        cwd=team.root / "reader",
    )
    assert reader.value("a", read_from="stargate").value == b"1"


@pytest.mark.parametrize("length", [70_000, 61_441])
def test_a_message_too_long_for_a_commit_is_the_callers_mistake_and_no_alarm(team, length):
    alice = team.clone("alice")
    alice.set("a", b"1", message="x" * 61_440)
    with pytest.raises(UsageError, match="at most 61440 bytes"):
        alice.set("a", b"2", message="x" * length)
