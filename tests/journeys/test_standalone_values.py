"""A developer alone: what goes in comes out, bit for bit, and stock git agrees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import GitRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitkv import (
    ConflictError,
    Expect,
    ExpiredError,
    KeyInvalidError,
    KeyNotFoundError,
    Put,
    Store,
    ToolError,
    UsageError,
)
from gitkv.client.init import init_store


@pytest.fixture
def store(repo: Path) -> Iterator[Store]:
    init_store(repo)
    with Store.open(repo) as opened:
        yield opened


def _at(store: Store, seconds: int) -> None:
    host = store._replica.host
    now_s = host.now_s()
    store._replica.host = host._replace(now_s=lambda: now_s + seconds)


@pytest.mark.parametrize(
    "value",
    [b"", b"\0", b"\r\n", b"no line end", bytes(range(256)), bytes(range(256)) * 4096],
    ids=len,
)
def test_a_value_comes_back_bit_for_bit(store: Store, value: bytes) -> None:
    store["k"] = value
    assert store["k"] == value
    assert store.entry("k").size == len(value)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.dictionaries(
        st.text(min_size=1, max_size=20), st.binary(max_size=300), min_size=1, max_size=8
    )
)
def test_any_batch_of_valid_keys_is_listed_and_read_back(
    store: Store, values: dict[str, bytes]
) -> None:
    try:
        store.write({key: Put(value) for key, value in values.items()})
    except KeyInvalidError:
        return
    listed = {entry.key: store[entry.key] for entry in store.list() if entry.key in values}
    assert listed == values


def test_stock_git_reads_a_value_and_finds_nothing_wrong(
    store: Store, repo: Path, git: GitRunner
) -> None:
    store.write({f"k{number}": Put(b"v%d" % number, ctype="text/plain") for number in range(500)})
    store.set("k7", b"new", ttl_s=60)
    blob = store.value("k7").etag
    assert git("cat-file", "blob", blob, cwd=repo) == b"new"
    assert blob.encode() in git("ls-tree", "-r", "refs/kv/main", cwd=repo)
    git("fsck", "--strict", "--no-dangling", cwd=repo)


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\u00a0", "\u202e", "\U000e0001", "\ue000"])
def test_any_key_is_written_without_a_message_and_its_subject_is_one_readable_line(
    store: Store, char: str
) -> None:
    store[f'a{char}"b'] = b"1"
    assert store[f'a{char}"b'] == b"1"
    assert next(store.log()).text == f"set {json.dumps(f'a{char}' + chr(34) + 'b')}"
    del store[f'a{char}"b']
    assert next(store.log()).text.startswith('delete "a\\u')


def test_a_batch_with_one_bad_key_changes_nothing(store: Store) -> None:
    before = store.set("a", b"1").commit
    with pytest.raises(KeyInvalidError):
        store.write({"b": Put(b""), "line\nbreak": Put(b"")})
    assert store.value("a").commit == before and list(store) == ["a"]


def test_deleting_several_keys_of_which_one_is_missing_deletes_none(store: Store) -> None:
    store.write({"a": Put(b"1"), "b": Put(b"2")})
    with pytest.raises(KeyNotFoundError, match="no-such"):
        store.delete(["a", "no-such"])
    assert list(store) == ["a", "b"]
    assert store.delete(["a", "no-such"], missing_ok=True).keys_del == 1


def test_an_empty_batch_succeeds_without_a_commit(store: Store) -> None:
    assert not store.write({}).changed
    assert not store.delete(["nothing"], missing_ok=True).changed


def test_expectations_name_what_they_found(store: Store) -> None:
    first = store.set("a", b"1", expect=Expect(if_absent=True))
    etag = store.entry("a").etag
    for expect in (Expect(if_absent=True), Expect(if_match="0" * 40), Expect(tree="0" * 40)):
        with pytest.raises(ConflictError) as caught:
            store.set("a", b"2", expect=expect)
        assert caught.value.exit_code == 2 and caught.value.actual
    assert store.value("a").commit == first.commit
    assert store.set("a", b"2", expect=Expect(if_match=etag)).changed


def test_an_expired_key_is_told_apart_from_a_missing_one(store: Store) -> None:
    store.set("lease", b"mine", ttl_s=60)
    _at(store, 61)
    with pytest.raises(ExpiredError):
        store.value("lease")
    assert store.value("lease", allow_expired=True).value == b"mine"
    assert "lease" not in store and list(store) == []
    assert store.set("lease", b"yours", expect=Expect(if_absent=True)).changed


def test_a_value_lives_to_the_moment_given_and_not_a_second_longer(store: Store) -> None:
    now_s = store._replica.host.now_s()
    store._replica.host = store._replica.host._replace(now_s=lambda: now_s)
    store.write({"lease": Put(b"mine", expires=store.expiry(expires=now_s + 60))})
    with store.transaction() as tx:
        tx.set("other", b"x", expires=now_s + 60)
    _at(store, 59)
    assert store["lease"] == b"mine" and store.entry("other").expires == now_s + 60
    _at(store, 1)
    assert "lease" not in store and "other" not in store
    assert [entry.key for entry in store.list(allow_expired=True)] == ["lease", "other"]


@pytest.mark.parametrize(
    ("ttl_s", "expires"),
    [(-1, 0), (1 << 62, 0), (0, -1), (0, 1), (0, 253402300800), (0, 1 << 70), (60, 1 << 33)],
)
def test_an_expiry_that_cannot_be_meant_is_refused(store: Store, ttl_s: int, expires: int) -> None:
    with pytest.raises(UsageError, match="expected"):
        store.expiry(ttl_s, expires)
    with pytest.raises(UsageError, match="expected"), store.transaction() as tx:
        tx.set("k", b"v", ttl_s=ttl_s, expires=expires)
    assert "k" not in store


def test_listing_pages_through_a_prefix_in_order(store: Store) -> None:
    store.write(
        {f"a{number:03}": Put(b"") for number in range(200)} | {"b": Put(b""), "A": Put(b"")}
    )
    pages, after = [], ""
    while page := [entry.key for entry in store.list("a", after=after, limit=70)]:
        pages.append(len(page))
        after = page[-1]
    assert pages == [70, 70, 60]


def test_a_prefix_is_no_path(store: Store) -> None:
    store.write({key: Put(b"") for key in ("a", "a.b", "a/b", "a/c/d", "ab", "é", "e")})
    assert {entry.key for entry in store.list("a/")} == {"a/b", "a/c/d"}
    assert [entry.key for entry in store.list("é")] == ["é"]


def test_old_values_are_read_by_number_and_by_commit(store: Store) -> None:
    first = store.set("a", b"1")
    store.set("a", b"2")
    assert store.value("a", at="@1").value == store.value("a", at=first.commit[:10]).value == b"1"
    for revision in ("@99", "@-1", "@01", "HEAD", "0" * 40, "deadbeef", "--all", "e1\n"):
        with pytest.raises(UsageError):
            store.value("a", at=revision)


def test_a_commit_that_is_not_of_this_ledger_is_no_revision(
    store: Store, repo: Path, git: GitRunner
) -> None:
    store.set("a", b"1")
    git("commit", "--quiet", "--allow-empty", "-m", "of the work tree", cwd=repo)
    with pytest.raises(UsageError, match="not a ledger commit"):
        store.value("a", at=git("rev-parse", "HEAD", cwd=repo).decode().strip())


def test_a_key_set_to_something_else_and_back_is_no_difference(store: Store) -> None:
    store["a"] = b"1"
    store["a"] = b"2"
    store["a"] = b"1"
    store.write({"b": Put(b"")})
    assert [(change.key, change.op) for change in store.diff("@1", "@4")] == [("b", "add")]


@pytest.mark.parametrize("message", ["KV-Seq: 9", "subject\n\n--- a line", "bell\a", "\udc80"])
def test_a_message_that_could_pose_as_trailers_is_refused_before_anything_is_made(
    store: Store, message: str
) -> None:
    with pytest.raises(UsageError):
        store.set("a", b"1", message=message)
    assert "a" not in store


def test_a_transaction_reads_its_own_changes_and_leaves_nothing_when_it_fails(store: Store) -> None:
    store["a"] = b"1"
    with pytest.raises(ZeroDivisionError), store.transaction() as tx:
        tx["b"] = b"2"
        del tx["a"]
        assert "a" not in tx and tx["b"] == b"2"
        raise ZeroDivisionError
    assert list(store) == ["a"] and tx.written is None


def test_a_transaction_whose_reads_no_longer_hold_is_refused(store: Store, repo: Path) -> None:
    store["n"] = b"1"
    with pytest.raises(ConflictError), store.transaction() as tx, Store.open(repo) as other:
        tx["n"] = tx["n"] + b"0"
        other["n"] = b"2"
    assert store["n"] == b"2"


def test_starting_a_store_twice_changes_nothing(repo: Path) -> None:
    first, second = init_store(repo), init_store(repo)
    assert (first.created, second.created) == (True, False) and first.commit == second.commit


def test_without_a_ledger_the_way_to_one_is_named(repo: Path) -> None:
    with Store.open(repo) as store, pytest.raises(ToolError) as caught:
        store.value("a")
    assert "git kv init" in caught.value.hint


def test_namespaces_keep_apart(store: Store, repo: Path) -> None:
    init_store(repo, "other")
    store["a"] = b"1"
    with Store.open(repo, ns="other") as other:
        assert list(other) == []
    with pytest.raises(UsageError):
        Store.open(repo, ns="../evil")


def test_a_commit_of_another_namespace_is_no_revision_of_this_one(store: Store, repo: Path) -> None:
    store.set("a", b"1")
    store.set("a", b"2")
    init_store(repo, "other")
    with Store.open(repo, ns="other") as other:
        foreign = other.set("a", b"secret").commit
    with pytest.raises(UsageError, match="not in the trusted ledger"):
        store.value("a", at=foreign)
