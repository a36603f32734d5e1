"""What has expired is deleted by an ordinary transaction, and nothing else with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitkv import Expect, Put, Store
from gitkv.client.draft import make_draft
from gitkv.client.init import init_store


class Timed:
    """A store whose clock the test moves."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now_s = store._replica.host.now_s()
        store._replica.host = store._replica.host._replace(now_s=lambda: self.now_s)


@pytest.fixture
def timed(repo: Path) -> Iterator[Timed]:
    init_store(repo)
    with Store.open(repo) as store:
        yield Timed(store)


def test_expired_keys_are_deleted_in_one_transaction_and_stay_in_history(timed: Timed) -> None:
    store = timed.store
    store.write(
        {f"s:{n:03}": Put(b"x", expires=timed.now_s + 60 + n) for n in range(300)}
        | {"plain": Put(b"x"), 'odd "expires":1': Put(b"x", ctype='t "expires":1')}
    )
    timed.now_s += 159
    assert [entry.key for entry in store.expired()] == [f"s:{n:03}" for n in range(100)]
    assert [entry.key for entry in store.expired("s:09")] == [f"s:09{n}" for n in range(10)]
    (written,) = store.expire()
    assert (written.keys_set, written.keys_del) == (0, 100)
    assert list(store.expired()) == []
    assert len(list(store.list(allow_expired=True))) == 202
    assert next(store.log(limit=1)).text == "expire 100 keys"
    assert [revision.op for revision in store.history("s:000")] == ["delete", "set"]
    assert store.verify().reasons == ()


def test_a_prefix_bounds_what_is_deleted(timed: Timed) -> None:
    store = timed.store
    store.write({key: Put(b"x", expires=timed.now_s + 1) for key in ("a:1", "b:1", "b:2", "c")})
    timed.now_s += 1
    (written,) = store.expire("b:", message="tidy")
    assert written.keys_del == 2 and next(store.log(limit=1)).text == "tidy"
    assert [entry.key for entry in store.expired()] == ["a:1", "c"]


def test_where_nothing_has_expired_no_commit_is_made(timed: Timed) -> None:
    timed.store.set("k", b"x", ttl_s=60)
    (written,) = timed.store.expire()
    assert not written.changed and written.seq == 1


def test_a_key_set_again_before_the_transaction_lands_is_left_alone(timed: Timed) -> None:
    store = timed.store
    store.write({key: Put(b"same", expires=timed.now_s + 1) for key in ("kept", "renewed")})
    timed.now_s += 1
    draft = make_draft(dict.fromkeys(["kept", "renewed", "never"]), Expect(), "late")
    store.set("renewed", b"same", ttl_s=60)  # the same bytes: only its expiry tells
    written = store._write(draft._replace(only_expired=True))
    assert written.keys_del == 1
    assert list(store) == ["renewed"]


def test_more_than_the_policy_lets_one_transaction_have_goes_in_several(
    timed: Timed, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = timed.store
    store.write({f"k{n}": Put(b"x", expires=timed.now_s + 1) for n in range(25)})
    timed.now_s += 1
    monkeypatch.setattr("gitkv.client.expire._KEYS_MAX", 10)
    assert [written.keys_del for written in store.expire()] == [10, 10, 5]
    assert list(store.list(allow_expired=True)) == []


def test_a_clock_that_is_behind_deletes_nothing_early(timed: Timed) -> None:
    timed.store.set("k", b"x", ttl_s=60)
    timed.now_s -= 500
    assert list(timed.store.expired()) == [] and timed.store["k"] == b"x"
