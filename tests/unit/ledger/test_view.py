"""Reading at one tip: lines, prefixes, pages of a list, and a key's versions, deletions
included.
"""

from __future__ import annotations

from itertools import islice

import pytest
from support.ledger_in_memory import LedgerInMemory

from gitkv.ledger.plan import Put
from gitkv.ledger.view import find_line, prefix_end, scan_lines, versions
from gitkv.model.key import encode_key, encode_prefix


@pytest.fixture(scope="module")
def ledger() -> LedgerInMemory:
    made = LedgerInMemory()
    for change in (
        {b"k": Put(b"1")},
        {b"other": Put(b"x")},
        {b"k": Put(b"22")},
        {b"k": None},
        {b"k": Put(b"333")},
        {b"never": Put(b""), b"other": None},
    ):
        made.write(change)
    return made


def test_a_line_is_found_or_not(ledger: LedgerInMemory) -> None:
    line = find_line(ledger.tip, b"k", ledger.store.read)
    assert line is not None and (line.size, line.created, line.mod, line.versions) == (3, 5, 5, 1)
    assert find_line(ledger.tip, b"other", ledger.store.read) is None
    assert find_line(ledger.first, b"k", ledger.store.read) is None


def test_versions_are_told_newest_first_across_a_deletion(ledger: LedgerInMemory) -> None:
    found = [
        (version.commit.seq, version.line.size if version.line else None)
        for version in versions(ledger.tip.ledger, b"k", ledger.store.read)
    ]
    assert found == [(5, 3), (4, None), (3, 2), (1, 1)]
    assert [
        version.commit.seq for version in versions(ledger.tip.ledger, b"other", ledger.store.read)
    ] == [6, 2]
    assert list(versions(ledger.tip.ledger, b"unknown", ledger.store.read)) == []


def test_keys_are_listed_by_prefix_and_page_by_page() -> None:
    ledger = LedgerInMemory()
    keys = [f"cfg:{n:03d}" for n in range(150)] + ["cfg", "cfg;", "cg:1", "é/1", "é/2", "z"]
    ledger.write({encode_key(key): Put(key.encode()) for key in keys})
    for prefix in ("", "cfg:", "cfg", "é", "é/", "cfg:1", "none", "z"):
        expected = sorted(encode_key(key) for key in keys if key.startswith(prefix))
        assert [
            line.name for line in scan_lines(ledger.tip, encode_prefix(prefix), ledger.store.read)
        ] == expected
        paged: list[bytes] = []
        while page := _page(ledger, encode_prefix(prefix), paged[-1] if paged else b""):
            paged += page
        assert paged == expected


def _page(ledger: LedgerInMemory, prefix: bytes, after: bytes) -> list[bytes]:
    return [
        line.name
        for line in islice(scan_lines(ledger.tip, prefix, ledger.store.read, after=after), 7)
    ]


def test_a_page_behind_a_key_of_another_prefix_starts_at_the_prefix() -> None:
    ledger = LedgerInMemory()
    ledger.write({name: Put(b"") for name in (b"a", b"b:1", b"b:2", b"c")})
    assert [line.name for line in scan_lines(ledger.tip, b"b:", ledger.store.read, after=b"a")] == [
        b"b:1",
        b"b:2",
    ]
    assert [
        line.name for line in scan_lines(ledger.tip, b"b:", ledger.store.read, after=b"c")
    ] == []


def test_the_end_of_a_prefix_is_the_first_name_behind_it() -> None:
    assert [prefix_end(prefix) for prefix in (b"", b"a", b"cfg:", b"%C3")] == [
        None,
        b"b",
        b"cfg;",
        b"%C4",
    ]
