"""Mirrors that lag, disappear, rewind or fork. A mirror is any host: what it shows is believed only
if it leads on from what we trust.
"""

from __future__ import annotations

import shutil
import threading

import pytest
from support.small_gateway import LOG

from gitkv import IntegrityError, Store, UnavailableError, UsageError
from gitkv.client.init import init_store
from gitkv.sign.gateway_key import Ed25519Signer, generate


def _alice_and_reader(team) -> tuple[Store, Store]:
    alice, reader = team.clone("alice"), team.clone("reader")
    for number in range(3):
        alice.set("a", b"%d" % number)
    team.publish()
    assert reader["a"] == b"2"
    return alice, reader


def _forked_copy(team):
    """A mirror of somebody who has the ledger and writes another history on it."""
    fork = team.root / "fork"
    team.git("init", "--quiet", fork)
    team.git(
        "fetch",
        "--quiet",
        team.mirror,
        "refs/kv/*:refs/kv/*",
        "refs/kv-index/*:refs/kv-index/*",
        cwd=fork,
    )
    team.set_back(fork)
    with Store.open(fork) as store:
        store.set("a", b"forged")
        store.set("a", b"forged twice")
    team.git(
        "push",
        "--quiet",
        "--force",
        team.mirror,
        "refs/kv/*:refs/kv/*",
        "refs/kv-index/*:refs/kv-index/*",
        cwd=fork,
    )


def test_a_reader_follows_the_mirror(team):
    alice, reader = _alice_and_reader(team)
    alice.set("a", b"new")
    team.publish()
    assert reader["a"] == b"new"


def test_a_rewound_mirror_is_reported_with_both_ids_and_never_adopted(team):
    _, reader = _alice_and_reader(team)
    before = team.tip(team.mirror)
    team.set_back(team.mirror, 2)
    with pytest.raises(IntegrityError, match="rewound") as caught:
        reader["a"]
    assert before in str(caught.value) and team.tip(team.mirror) in str(caught.value)
    assert reader.value("a", read_from="local").value == b"2"
    with pytest.raises(IntegrityError):  # not only the first time
        reader["a"]


def test_a_forked_mirror_is_reported_and_never_adopted(team):
    _, reader = _alice_and_reader(team)
    _forked_copy(team)
    with pytest.raises(IntegrityError, match="another history"):
        reader["a"]
    assert reader.value("a", read_from="local").value == b"2"


def test_a_history_that_a_shallow_fetch_has_cut_is_told_with_the_way_to_get_the_rest(team):
    alice, reader = _alice_and_reader(team)
    for number in range(3):
        alice.set("b", b"%d" % number)
    team.publish()
    refspecs = [f"+refs/{kind}/main:refs/remotes/origin/{kind}/main" for kind in ("kv", "kv-index")]
    team.git(
        "fetch",
        "--quiet",
        "--depth=1",
        f"file://{team.mirror}",
        *refspecs,
        cwd=team.root / "reader",
    )
    with pytest.raises(IntegrityError) as caught:
        reader["a"]
    assert "git fetch --unshallow" in caught.value.hint
    team.git("fetch", "--quiet", "--unshallow", "origin", *refspecs, cwd=team.root / "reader")
    assert reader["b"] == b"2"


def test_a_fork_from_before_the_first_look_is_seen_against_the_trusted_tip(team):
    alice, _ = _alice_and_reader(team)
    _forked_copy(team)
    with pytest.raises(
        IntegrityError, match="another history"
    ):  # alice has written, and never read the mirror
        alice["a"]
    assert alice.value("a", read_from="local").value == b"2"


def test_a_mirror_that_lags_behind_what_we_wrote_is_no_error(team):
    alice = team.clone("alice")
    alice.set("a", b"1")
    assert alice["a"] == b"1"


@pytest.mark.parametrize("ref", ["refs/kv/main", "refs/kv-index/main"])
def test_a_ref_that_vanished_from_the_mirror_is_reported(team, ref):
    _, reader = _alice_and_reader(team)
    team.git("update-ref", "-d", ref, cwd=team.mirror)
    with pytest.raises(IntegrityError, match=f"no longer has {ref}"):
        reader["a"]


def test_an_index_that_is_not_the_ledgers_is_never_adopted(team):
    alice, reader = _alice_and_reader(team)
    alice.set("a", b"new")
    team.git("push", "--quiet", team.mirror, "refs/kv/main", LOG, cwd=team.server)
    with pytest.raises(IntegrityError, match=r"index .* has not arrived"):
        reader["a"]
    assert reader.value("a", read_from="local").value == b"2"
    team.publish()
    assert reader["a"] == b"new"


def test_without_a_mirror_the_answer_is_local_and_says_how_old_it_is(team):
    _alice_and_reader(team)
    shutil.rmtree(team.mirror)
    warnings: list[str] = []
    reader = team.open("reader", warnings.append)
    reader._replica.host = reader._replica.host._replace(
        now_s=lambda host=reader._replica.host: host.now_s() + 7200
    )
    assert reader["a"] == b"2"
    assert len(warnings) == 1 and "2 h old" in warnings[0]


def test_a_local_read_never_looks_at_the_mirror(team):
    _alice_and_reader(team)
    shutil.rmtree(team.mirror)
    assert team.open("reader").value("a", read_from="local").value == b"2"


def test_within_the_maximal_age_the_mirror_is_left_alone(team):
    alice, _ = _alice_and_reader(team)
    reader = team.clone("calm", "1h")
    assert reader["a"] == b"2"
    alice.set("a", b"new")
    team.publish()
    assert reader["a"] == b"2"
    reader.refresh("stargate")
    assert reader["a"] == b"new"


def test_a_clone_cannot_start_a_namespace_of_its_own(team):
    team.clone("alice")
    with pytest.raises(Exception, match="Stargate"):
        init_store(team.root / "alice", "other")


def test_without_a_mirror_and_without_a_replica_there_is_no_answer(team):
    shutil.rmtree(team.mirror)
    with pytest.raises(UnavailableError):
        team.clone("fresh")["a"]


def _swap_key(team) -> None:
    """As if somebody had put another key file in the gateway's place."""
    (team.server / "gateway_key").write_bytes(generate()[0])


@pytest.mark.parametrize("read_from", ["mirror", "stargate"])
def test_receipts_of_a_key_that_the_policy_lacks_are_refused_from_whoever_shows_them(
    team, read_from
):
    alice, reader = _alice_and_reader(team)
    _swap_key(team)
    alice.set("a", b"new")
    team.publish()
    for store in (alice, reader):  # the writer has it on Stargate's word, and finds out now
        with pytest.raises(IntegrityError, match="cannot be verified"):
            store.get("a", read_from=read_from)
    assert reader.get("a", read_from="local") == b"2"


def test_a_changed_push_url_is_adopted_when_an_admin_signed_it(team, ssh_key):
    _, reader = _alice_and_reader(team)
    elsewhere = "ssh://elsewhere.invalid/store.git"
    text = team.policy(team.gateway.public_line, push_url=elsewhere)
    warnings: list[str] = []
    store = team.open("reader", warnings.append)
    team.gateway.change_policy(text, Ed25519Signer(ssh_key.private.read_bytes()))
    team.publish()
    assert store["a"] == b"2"
    assert len(warnings) == 1 and elsewhere in warnings[0] and "remote setup" in warnings[0]
    assert store["a"] == b"2" and len(warnings) == 1
    team.gateway.change_policy(text + b"\n# mine\n", Ed25519Signer(generate()[0]))
    team.publish()
    with pytest.raises(IntegrityError, match="policy cannot be trusted"):
        reader["a"]


def test_an_acknowledged_write_that_stargate_has_lost_is_its_fault_and_not_the_clones(team):
    alice = team.clone("alice")
    alice.set("a", b"1")
    alice.set("a", b"2")
    team.set_back(team.server)
    team.git("update-ref", LOG, f"{LOG}~1", cwd=team.server)
    with pytest.raises(IntegrityError, match="gone back") as caught:
        alice.get("a", read_from="stargate")
    assert "operator" in caught.value.hint and "repair" not in caught.value.hint


def test_readers_at_once_in_one_clone_raise_no_false_alarm(team):
    alice, _ = _alice_and_reader(team)
    stores = [team.open("reader") for _ in range(3)]
    wrong: list[Exception] = []

    def read(store: Store) -> None:
        try:
            for _ in range(6):
                assert store["a"] >= b"2"
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=read, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for number in range(3, 7):
        alice.set("a", b"%d" % number)
        team.publish()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_configured_remote_that_does_not_exist_is_named(team) -> None:
    team.clone("alice").close()
    team.git("config", "kv.remote", "nosuch", cwd=team.root / "alice")
    store = team.open("alice")
    for act in (lambda: store.set("a", b"1"), lambda: store.get("a")):
        with pytest.raises(UsageError, match=r"kv\.remote is nosuch: there is no such remote"):
            act()
