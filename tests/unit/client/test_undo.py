"""What undoes a transaction is the state before it, for the keys it changed."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.ledger_in_memory import START_S, LedgerInMemory

from gitkv.client.undo import undo
from gitkv.errors import ConflictError
from gitkv.ledger.view import scan_lines
from gitkv.model.content import Put
from gitkv.model.key import encode_key
from gitkv.reading.state import State

PUTS = st.none() | st.builds(
    Put, st.sampled_from([b"1", b"2"]), st.sampled_from(["", "t"]), st.sampled_from([0, START_S])
)
CHANGES = st.dictionaries(st.sampled_from("abcd"), PUTS, min_size=1, max_size=3)
Contents = dict[bytes, tuple[bytes, str, int]]


def _write(ledger: LedgerInMemory, changes: dict[str, Put | None]) -> None:
    ledger.write({encode_key(key): put for key, put in changes.items()})


def _state(ledger: LedgerInMemory) -> State:
    return State(ledger.ns, ledger.tip.ledger, ledger.store, START_S, lambda: None)


def _contents(ledger: LedgerInMemory) -> Contents:
    lines = scan_lines(ledger.tip, b"", ledger.store.read)
    return {line.name: (line.oid, line.ctype, line.expires) for line in lines}


@given(st.lists(CHANGES, min_size=1, max_size=6))
def test_undoing_the_newest_transaction_brings_the_state_before_it(
    steps: list[dict[str, Put | None]],
) -> None:
    ledger = LedgerInMemory()
    states = [_contents(ledger)]
    for step in steps:
        _write(ledger, step)
        if len(states) <= ledger.tip.seq:
            states.append(_contents(ledger))
    assume(ledger.tip.seq > 0)
    _write(ledger, undo(_state(ledger), ledger.tip.seq).changes)
    assert _contents(ledger) == states[-2]


@given(st.lists(CHANGES, min_size=2, max_size=6), st.data())
def test_an_older_transaction_is_undone_where_nothing_came_after_it(
    steps: list[dict[str, Put | None]], data: st.DataObject
) -> None:
    ledger = LedgerInMemory()
    states = [_contents(ledger)]
    for step in steps:
        _write(ledger, step)
        if len(states) <= ledger.tip.seq:
            states.append(_contents(ledger))
    assume(ledger.tip.seq > 1)
    seq = data.draw(st.integers(1, ledger.tip.seq - 1))
    before, after, now = states[seq - 1], states[seq], states[-1]
    touched = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    overlap = {name for name in touched if now.get(name) != after.get(name)}
    if overlap:
        with pytest.raises(ConflictError):
            undo(_state(ledger), seq)
    found = undo(_state(ledger), seq, force=bool(overlap))
    _write(ledger, found.changes)
    expected = {name: line for name, line in now.items() if name not in touched}
    expected |= {name: before[name] for name in touched if name in before}
    assert _contents(ledger) == expected
    assert set(found.seen) == touched
