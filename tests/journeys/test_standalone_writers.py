"""Writers at the same time, long histories, and a policy of one's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import GitRunner, SshKey

from gitkv import IntegrityError, PolicyError, Put, RejectedError, Store
from gitkv.client.init import init_store
from gitkv.errors import BusyError
from gitkv.policy.template import format_policy

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n"


@pytest.fixture
def store(repo: Path) -> Iterator[Store]:
    init_store(repo)
    with Store.open(repo) as opened:
        yield opened


def _in_threads(*works: Callable[[], None]) -> list[BaseException]:
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_writers_at_the_same_time_all_succeed_and_history_stays_one_line(
    store: Store, repo: Path, git: GitRunner
) -> None:
    def write(name: str) -> None:
        with Store.open(repo) as own:
            for number in range(10):
                own[f"{name}{number}"] = b"x"

    assert _in_threads(lambda: write("a"), lambda: write("b")) == []
    assert len(list(store)) == 20
    assert git("rev-list", "--count", "refs/kv/main", cwd=repo) == b"21\n"
    assert git("rev-list", "--min-parents=2", "refs/kv/main", cwd=repo) == b""


def test_a_reader_between_two_writes_never_sees_half_of_one(store: Store, repo: Path) -> None:
    store.write({"a": Put(b"0"), "b": Put(b"0")})
    done = threading.Event()

    def write() -> None:
        with Store.open(repo) as own:
            for number in range(15):
                own.write({"a": Put(b"%d" % number), "b": Put(b"%d" % number)})
        done.set()

    def read() -> None:
        with Store.open(repo) as own:
            while not done.is_set():
                with own.transaction() as tx:
                    assert tx["a"] == tx["b"]

    assert _in_threads(write, read) == []


def test_history_of_a_key_reads_few_objects_among_many_commits(store: Store) -> None:
    store["a"] = b"1"
    for number in range(60):
        store["noise"] = b"%d" % number
    store["a"] = b"2"
    for number in range(60):
        store["noise"] = b"%d!" % number
    reads: list[bytes] = []
    objects = store._replica.objects
    read = objects.read
    objects.read = lambda oid, kind: reads.append(oid) or read(oid, kind)  # type: ignore[func-returns-value,method-assign]
    assert [revision.seq for revision in store.history("a")] == [62, 1]
    assert len(reads) < 60  # 122 commits and as many indexes lie below


def _impatient(store: Store) -> None:
    store._replica.host = store._replica.host._replace(sleep=lambda seconds: None)


def test_an_index_ref_that_was_tampered_with_stops_every_write(
    store: Store, repo: Path, git: GitRunner
) -> None:
    store["a"] = b"1"
    forged = (
        git("commit-tree", "-m", "index", "refs/kv-index/main^{tree}", cwd=repo).decode().strip()
    )
    git("update-ref", "refs/kv-index/main", forged, cwd=repo)
    _impatient(store)
    with pytest.raises(IntegrityError, match="do not belong together"):
        store["a"] = b"2"


@pytest.mark.parametrize("steps", [1, 3])
def test_a_move_that_was_killed_between_its_two_refs_is_completed_by_the_next_write(
    store: Store, repo: Path, git: GitRunner, steps: int
) -> None:
    for number in range(3):
        store["a"] = b"%d" % number
    whole = git("rev-parse", "refs/kv-index/main", cwd=repo)
    git("update-ref", "refs/kv-index/main", f"refs/kv-index/main~{steps}", cwd=repo)
    _impatient(store)
    assert store.set("a", b"2").seq == 3  # changes nothing
    assert git("rev-parse", "refs/kv-index/main", cwd=repo) == whole


def test_a_store_whose_start_was_killed_between_its_two_refs_is_whole_after_the_next_command(
    repo: Path, git: GitRunner
) -> None:
    init_store(repo)
    git("update-ref", "-d", "refs/kv-index/main", cwd=repo)
    assert not init_store(repo).created
    with Store.open(repo) as store:
        assert store.set("a", b"1").seq == 1


def test_a_lock_that_a_killed_git_left_behind_is_named(store: Store, repo: Path) -> None:
    lock = repo / ".git" / "refs" / "kv" / "main.lock"
    lock.touch()
    _impatient(store)
    with pytest.raises(BusyError, match=r"refs/kv/main\.lock") as caught:
        store["a"] = b"1"
    assert "killed" in caught.value.hint
    lock.unlink()
    store["a"] = b"1"


def _commit_policy(repo: Path, git: GitRunner, text: bytes) -> None:
    (repo / ".kv").mkdir(exist_ok=True)
    (repo / ".kv" / "policy.yaml").write_bytes(text)
    git("add", ".kv", cwd=repo)
    git("commit", "--quiet", "-m", "policy", cwd=repo)


def test_a_policy_in_the_repository_is_applied_to_its_owner_too(
    store: Store, repo: Path, git: GitRunner, ssh_key: SshKey
) -> None:
    _commit_policy(repo, git, format_policy("", ("alice", ssh_key.public)))
    with pytest.raises(RejectedError) as caught:
        store["a"] = b"1"
    assert caught.value.exit_code == 3 and "signature.unsigned" in str(caught.value)
    git("config", "gpg.format", "ssh", cwd=repo)
    git("config", "user.signingkey", ssh_key.private, cwd=repo)
    with Store.open(repo) as signing:
        signing["a"] = b"1"
        [revision] = signing.history("a")
        assert (revision.principal, revision.signer[:7]) == ("alice", "SHA256:")
        with pytest.raises(RejectedError) as caught:
            signing["lfs"] = POINTER
        assert [entry.rule for entry in caught.value.verdict.reasons] == ["value.lfs"]
    assert list(store) == ["a"]


def test_where_the_policy_has_a_time_to_live_every_value_that_is_set_has_one(
    store: Store, repo: Path, git: GitRunner, ssh_key: SshKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    store["before"] = b"1"
    text = format_policy("", ("alice", ssh_key.public))
    limit = b"    max_value_inline:"
    _commit_policy(repo, git, text.replace(limit, b"    retention: {ttl_default: 2d}\n" + limit))
    git("config", "gpg.format", "ssh", cwd=repo)
    git("config", "user.signingkey", ssh_key.private, cwd=repo)
    with Store.open(repo) as signing:
        now_s = signing._replica.host.now_s()
        signing._replica.host = signing._replica.host._replace(now_s=lambda: now_s)
        signing["a"] = b"1"
        signing.write({"b": Put(b"2", ctype="t"), "c": Put(b"3", expires=now_s + 5)})
        with signing.transaction() as tx:
            tx["d"] = b"4"
        expiries = {entry.key: entry.expires - now_s for entry in signing.list()}
        assert expiries == {"a": 172800, "b": 172800, "c": 5, "d": 172800, "before": -now_s}
        monkeypatch.setattr("gitkv.client.build.default_ttl_s", lambda replica: 0)
        with pytest.raises(RejectedError) as caught:  # a client that knows nothing of it
            signing["e"] = b"5"
        assert [entry.rule for entry in caught.value.verdict.reasons] == ["expiry.missing"]
        assert caught.value.exit_code == 3
        assert signing.delete(["before"]).changed
        assert not [entry for entry in signing.verify().reasons if "expiry" in entry.rule]


def test_a_key_that_the_policy_does_not_know_is_refused(
    store: Store, repo: Path, git: GitRunner, ssh_key: SshKey, other_ssh_key: SshKey
) -> None:
    _commit_policy(repo, git, format_policy("", ("alice", ssh_key.public)))
    git("config", "gpg.format", "ssh", cwd=repo)
    git("config", "user.signingkey", other_ssh_key.private, cwd=repo)
    with Store.open(repo) as stranger, pytest.raises(RejectedError, match="unknown-key"):
        stranger["a"] = b"1"


def test_a_policy_that_cannot_be_read_stops_writing_and_not_reading(
    store: Store, repo: Path, git: GitRunner
) -> None:
    store["a"] = b"1"
    _commit_policy(repo, git, b"version: 2\n")
    with pytest.raises(PolicyError):
        store["a"] = b"2"
    assert store["a"] == b"1"


def test_refs_read_in_the_middle_of_another_writers_move_are_read_again(
    store: Store, repo: Path, git: GitRunner
) -> None:
    store["a"] = b"1"
    store["a"] = b"2"
    index = git("rev-parse", "refs/kv-index/main", cwd=repo).decode().strip()
    git("update-ref", "refs/kv-index/main", "refs/kv-index/main~1", cwd=repo)
    restored = []

    def finish_the_move(seconds: float) -> None:
        restored.append(seconds)
        git("update-ref", "refs/kv-index/main", index, cwd=repo)

    store._replica.host = store._replica.host._replace(sleep=finish_the_move)
    assert store.set("a", b"3").seq == 3 and len(restored) == 1


def test_a_store_that_is_only_written_is_tidied_by_git_as_its_owner_wishes(
    store: Store, repo: Path, git: GitRunner
) -> None:
    git("config", "gc.auto", "100", cwd=repo)
    git("config", "gc.autoDetach", "false", cwd=repo)
    for number in range(64):
        store[f"key{number}"] = b"%d" % number
    counts = dict(line.split(b": ") for line in git("count-objects", "-v", cwd=repo).splitlines())
    assert int(counts[b"in-pack"]) > 300
    assert int(counts[b"count"]) < 100
    assert store["key0"] + store["key63"] == b"063"
