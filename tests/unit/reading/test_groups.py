"""Groups of keys: as a person would cut the list, at a cost that does not grow with a group."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.ledger_in_memory import START_S, LedgerInMemory

from gitkv.ledger.plan import Put
from gitkv.model.key import encode_key
from gitkv.reading.answers import Entry
from gitkv.reading.groups import Group, list_groups
from gitkv.reading.state import State

NOW_S = START_S + 1000
KEYS = st.dictionaries(
    st.text("ab:/é", min_size=1, max_size=6), st.sampled_from([0, NOW_S, NOW_S + 9]), max_size=30
)


def _state(keys: dict[str, int]) -> State:
    ledger = LedgerInMemory()
    ledger.write({encode_key(key): Put(b"", "", expires) for key, expires in keys.items()})
    return State(ledger.ns, ledger.tip.ledger, ledger.store, NOW_S, lambda: None)


def _shown(found: list[Entry | Group]) -> list[str]:
    return [entry[0] for entry in found]


@given(KEYS, st.sampled_from(["", "a", ":", "a:"]), st.sampled_from([":", "/", "a:", "é"]))
def test_groups_are_what_cutting_the_whole_list_gives(
    keys: dict[str, int], prefix: str, delimiter: str
) -> None:
    wanted = []
    for key in sorted(keys, key=encode_key):
        if keys[key] == NOW_S or not key.startswith(prefix):
            continue
        end = key.find(delimiter, len(prefix))
        wanted.append(key if end < 0 else key[: end + len(delimiter)])
    expected = list(dict.fromkeys(wanted))
    state = _state(keys)
    assert _shown(list(list_groups(state, prefix, delimiter))) == expected
    for at, shown in enumerate(expected):  # each line is where the next page may begin
        rest = list(list_groups(state, prefix, delimiter, after=shown))
        assert _shown(rest) == expected[at + 1 :]


def test_a_group_of_many_keys_costs_one_step() -> None:
    state = _state({f"{group}:{number:04}": 0 for group in "abc" for number in range(3000)})
    read: list[bytes] = []

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(state.objects, name)

        def read(self, oid: bytes, kind: bytes) -> bytes:
            read.append(oid)
            return state.objects.read(oid, kind)

    counting = state._replace(objects=Counting())
    assert _shown(list(list_groups(counting, "", ":"))) == ["a:", "b:", "c:"]
    assert len(read) < 40
