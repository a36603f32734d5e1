"""Reading one state, without a repository: what a clone and a server share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.ledger_in_memory import START_S, LedgerInMemory

from gitkv.errors import ExpiredError, IntegrityError, KeyNotFoundError, UsageError
from gitkv.ledger.plan import Put
from gitkv.ledger.seek import LedgerCommit
from gitkv.model.key import encode_key
from gitkv.model.oid import BLOB, Oid
from gitkv.reading.history import diff_revisions, history_of, log_of
from gitkv.reading.lookup import list_entries, read_entry, read_value
from gitkv.reading.revisions import resolve_revision
from gitkv.reading.state import State

NOW_S = START_S + 1000


@pytest.fixture(scope="module")
def ledger() -> LedgerInMemory:
    made = LedgerInMemory()
    for change in (
        {b"k": Put(b"1", "text/plain")},
        {b"brief": Put(b"x", "", NOW_S), encode_key("é"): Put(b"y", "", NOW_S + 1)},
        {b"k": Put(b"22")},
        {b"k": None},
        {b"k": Put(b"333"), b"other": Put(b"")},
    ):
        made.write(change)
    return made


@pytest.fixture
def state(ledger: LedgerInMemory) -> State:
    return State(ledger.ns, ledger.tip.ledger, ledger.store, NOW_S, lambda: None)


def test_a_value_comes_with_all_that_the_index_says_of_it(state: State) -> None:
    value = read_value(state, "k")
    assert (value.value, value.created, value.mod, value.versions) == (b"333", 5, 5, 1)
    assert (value.commit, value.seq) == (state.tip.oid.hex(), 5)
    assert read_entry(state, "k").size == 3
    assert read_value(state, "k", "@1").ctype == "text/plain"


def test_an_expired_key_is_absent_until_asked_for(state: State) -> None:
    with pytest.raises(ExpiredError, match=r"brief expired at 20..-..-.. ..:..:..Z") as caught:
        read_value(state, "brief")
    assert caught.value.expires == NOW_S
    assert read_value(state, "brief", allow_expired=True).value == b"x"
    assert read_value(state._replace(now_s=NOW_S - 1), "brief").value == b"x"
    assert [entry.key for entry in list_entries(state)] == ["é", "k", "other"]
    assert [entry.key for entry in list_entries(state, after="é", limit=1)] == ["k"]
    everything = list_entries(state.with_expired())
    assert [entry.key for entry in everything] == ["é", "brief", "k", "other"]
    assert [revision.expires for revision in history_of(state, "brief", None)] == [NOW_S]
    assert list(list_entries(state, "none")) == []
    with pytest.raises(UsageError, match="limit"):
        list_entries(state, limit=-1)


def test_a_key_that_is_not_there_is_named_with_the_revision(state: State) -> None:
    with pytest.raises(KeyNotFoundError, match="key k does not exist at @4"):
        read_value(state, "k", "@4")


def test_revisions_are_numbers_commits_and_labels(state: State, ledger: LedgerInMemory) -> None:
    second = ledger.steps[1].after.ledger.oid
    for spelling in ("@2", second.hex(), second.hex()[:12]):
        assert resolve_revision(state, spelling).oid == second
    assert resolve_revision(state, "e1").oid == resolve_revision(state, "").oid == state.tip.oid


@pytest.mark.parametrize(
    ("revision", "moment_s"),
    [
        ("2023-11-14", 1_699_920_000),
        ("2023-11-14T22:13:25Z", START_S + 5),
        ("2023-11-14 23:13:25+01:00", START_S + 5),
        ("1 second ago", NOW_S - 1),
        ("2 minutes ago", NOW_S - 120),
        ("10m ago", NOW_S - 600),
        ("3 h ago", NOW_S - 10800),
        ("2 days ago", NOW_S - 172800),
        ("4 weeks ago", NOW_S - 2419200),
        ("0s ago", NOW_S),
    ],
)
def test_a_moment_stands_for_what_was_accepted_by_then(
    state: State, ledger: LedgerInMemory, revision: str, moment_s: int
) -> None:
    second = ledger.steps[1].after.ledger.oid
    asked = []

    def until(moment_s: int) -> Oid:
        asked.append(moment_s)
        return second

    assert resolve_revision(state._replace(until=until), revision).oid == second
    assert asked == [moment_s]


def test_a_moment_is_never_guessed_at_and_must_be_over(
    state: State, ledger: LedgerInMemory
) -> None:
    newest = state._replace(until=lambda moment_s: ledger.tip.ledger.oid)
    for revision, why in (
        ("2023-11-14T22:13:25", "is not a moment"),
        ("2023-13-01", "is not a moment"),
        ("yesterday", "is not a moment"),
        ("2 months ago", "is not a moment"),
        ("-1 days ago", "is not a moment"),
        ("2099-01-01", "is still to come"),
        ("999999999 weeks ago", "has no transaction at or before"),
    ):
        with pytest.raises(UsageError, match=why):
            resolve_revision(newest, revision)
    with pytest.raises(UsageError, match="has no transaction at or before 2023-11-14"):
        resolve_revision(state, "2023-11-14")
    label = state.tip.attestation.epoch
    assert resolve_revision(newest, label).oid == state.tip.oid


@pytest.mark.parametrize(
    ("revision", "why"),
    [
        ("@6", "not in the ledger"),
        ("@01", "not a revision"),
        ("HEAD", "not a revision"),
        ("@1\n", "not a revision"),
        ("0123456789", "not a commit here"),
    ],
)
def test_what_is_no_revision_is_refused(state: State, revision: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        resolve_revision(state, revision)


def test_a_commit_of_another_ledger_or_after_the_tip_is_refused(
    state: State, ledger: LedgerInMemory
) -> None:
    index = ledger.steps[1].after.index_oid
    with pytest.raises(UsageError, match="not a ledger commit"):
        resolve_revision(state, index.hex())
    earlier = state._replace(tip=ledger.steps[1].after.ledger)
    with pytest.raises(UsageError, match="not in the trusted ledger"):
        resolve_revision(earlier, state.tip.oid.hex())


def test_history_log_and_diff_tell_one_story(state: State) -> None:
    told = [(version.seq, version.op, version.size) for version in history_of(state, "k", None)]
    assert told == [(5, "set", 3), (4, "delete", 0), (3, "set", 2), (1, "set", 1)]
    assert len(list(history_of(state, "k", 2))) == 2
    assert [entry.seq for entry in log_of(state, None)] == [5, 4, 3, 2, 1, 0]
    found = [(change.key, change.op) for change in diff_revisions(state, "@1", "", "")]
    assert found == [("é", "add"), ("brief", "add"), ("k", "change"), ("other", "add")]
    assert [change.key for change in diff_revisions(state, "@1", "@3", "k")] == ["k"]
    assert list(diff_revisions(state, "@3", "@3", "")) == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda state: read_value(state, "k"),
        lambda state: list(list_entries(state)),
        lambda state: list(history_of(state, "k", None)),
        lambda state: list(diff_revisions(state, "@1", "", "")),
    ],
    ids=["get", "list", "history", "diff"],
)
def test_a_malformed_index_is_an_integrity_error(
    ledger: LedgerInMemory, ask: Callable[[State], object]
) -> None:
    tip = ledger.tip.ledger
    broken = ledger.store.add(BLOB, b"no tree")
    lying = tip._replace(attestation=tip.attestation._replace(index_tree=broken))
    with pytest.raises(IntegrityError):
        ask(_state_at(ledger, lying))


def test_a_value_of_another_size_than_the_index_says_is_not_returned(
    ledger: LedgerInMemory,
) -> None:
    class Longer:
        def __getattr__(self, name: str) -> object:
            return getattr(ledger.store, name)

        def read(self, oid: Oid, kind: bytes) -> bytes:
            body = ledger.store.read(oid, kind)
            return body + b"!" if kind == BLOB and body == b"333" else body

    with pytest.raises(IntegrityError, match="expected 3 bytes"):
        read_value(_state_at(ledger, ledger.tip.ledger)._replace(objects=Longer()), "k")


def _state_at(ledger: LedgerInMemory, tip: LedgerCommit) -> State:
    return State(ledger.ns, tip, ledger.store, NOW_S, lambda: None)
