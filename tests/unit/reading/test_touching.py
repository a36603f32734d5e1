"""The log of a range of keys is the merged histories of its keys."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.ledger_in_memory import START_S, LedgerInMemory

from gitkv.ledger.plan import Put
from gitkv.model.key import encode_key
from gitkv.reading.answers import Only
from gitkv.reading.history import history_of, log_of
from gitkv.reading.state import State

KEYS = ("a", "a:1", "a:2", "b", "é")
CHANGES = st.dictionaries(
    st.sampled_from(KEYS), st.none() | st.sampled_from([b"1", b"2"]), min_size=1, max_size=3
)


@given(st.lists(CHANGES, max_size=12), st.sampled_from(["", "a", "a:", "é", "none"]))
def test_the_log_of_a_prefix_is_the_merged_histories_of_its_keys(
    steps: list[dict[str, bytes | None]], prefix: str
) -> None:
    ledger = LedgerInMemory()
    for step in steps:
        ledger.write({encode_key(key): value and Put(value) for key, value in step.items()})
    state = State(ledger.ns, ledger.tip.ledger, ledger.store, START_S, lambda: None)
    seqs = {
        key: [version.seq for version in history_of(state, key, None)]
        for key in KEYS
        if key.startswith(prefix)
    }
    if prefix:
        merged = sorted({seq for found in seqs.values() for seq in found}, reverse=True)
        assert [entry.seq for entry in log_of(state, None, Only(prefix=prefix))] == merged
    for key, expected in seqs.items():
        assert [entry.seq for entry in log_of(state, None, Only(key=key))] == expected
