"""Many writers of different keys: each is served in its turn, and a store that stays open keeps its
connection.
"""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitkv import AccessError, Store
from gitkv.client.push_line import PushLine
from gitkv.git.repository import discover
from gitkv.git.ssh_pipe import SshPipe
from gitkv.model.refs import Namespace
from gitkv.testing.world import Person, World

WRITERS, WRITES = 12, 3


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    names = [f"writer{number}" for number in range(WRITERS)]
    world = World(tmp_path_factory.mktemp("turns")).create("alice", names).start()
    for name in ("alice", *names):
        world.person(name).clone()
    yield world
    world.close()


def _counted(person: Person) -> Path:
    """Lets the person's ssh note each connection, in this file."""
    note = person.home / "connections"
    note.touch()
    wrapper = person.home / "counted-ssh"
    wrapper.write_text(
        f"""\
#!/bin/sh
case " $* " in *" -G "*) ;; *) echo >> {shlex.quote(str(note))} ;; esac
exec {person.ssh} "$@"
"""
    )
    wrapper.chmod(0o755)
    person.git("config", "core.sshCommand", str(wrapper))
    return note


def _opened(person: Person) -> Store:
    env = {name: value for name, value in person.env.items() if name != "GIT_SSH_COMMAND"}
    return Store.open(person.clone_dir, env=env)


def _lines(world: World, event: str) -> int:
    return sum(f" {event} " in f"{line} " for line in world.log.read_text().splitlines())


def test_every_write_of_a_crowd_on_different_keys_succeeds_and_next_to_none_is_refused(
    crowd: World,
) -> None:
    accepted, refused = _lines(crowd, "push.accepted"), _lines(crowd, "push.refused")
    problems: list[str] = []

    def write(person: Person) -> None:
        for number in range(WRITES):
            done = person.kv("set", f"{person.name}:key", str(number), check=False)
            if done.code:
                problems.append(done.err)

    threads = [
        threading.Thread(target=write, args=(crowd.person(f"writer{number}"),))
        for number in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert _lines(crowd, "push.accepted") - accepted == WRITERS * WRITES
    assert _lines(crowd, "push.refused") - refused <= WRITERS * WRITES // 10


def test_a_store_that_stays_open_logs_in_once_and_sees_what_others_wrote_between(
    crowd: World,
) -> None:
    one, other = crowd.person("writer0"), crowd.person("writer1")
    note = _counted(one)
    with _opened(one) as store:
        for number in range(4):
            store.set("kept:one", b"%d" % number)
            assert other.kv("set", "kept:other", str(number)).code == 0
        store.set("kept:one", b"last")
        assert store.value("kept:other", read_from="local").value == b"3"
    assert len(note.read_text().splitlines()) == 1
    assert one.kv("verify").code == 0


def test_a_line_that_stargate_dropped_is_replaced_without_a_word(crowd: World) -> None:
    person = crowd.person("writer2")
    with _opened(person) as store:
        store.set("dropped", b"1")
        crowd.stop()
        crowd.start()
        assert store.set("dropped", b"2").changed
    assert _lines(crowd, "stopped") >= 1


def test_parent_and_child_of_a_fork_both_write_on(crowd: World) -> None:
    person = crowd.person("writer3")
    with _opened(person) as store:
        store.set("forked", b"before")
        child = os.fork()
        if child == 0:
            try:
                store.set("forked:child", b"1")
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        store.set("forked:parent", b"1")
        assert store.value("forked:child").value == b"1"


def test_who_takes_a_turn_and_stalls_loses_it(crowd: World) -> None:
    person, other = crowd.person("writer4"), crowd.person("writer5")
    pipe = SshPipe()
    config = discover(str(person.clone_dir), person.env).config_all
    pipe.start(crowd.url, person.env, config)
    line = PushLine(pipe)
    try:
        line.heads()
        line.take_turn(Namespace("main"), [])
        assert other.kv("set", "patient", "1").code == 0
    finally:
        line.close()


def test_a_key_that_is_revoked_loses_its_kept_connection(crowd: World, tmp_path: Path) -> None:
    person, admin = crowd.person("writer6"), crowd.person("alice")
    with _opened(person) as store:
        store.set("revoked", b"1")
        policy = admin.clone_dir / ".kv" / "policy.yaml"
        admin.git("pull", "--quiet", crowd.url, "main")
        text = policy.read_text()
        blob = person.public_key.read_text().split()[1]
        assert blob in text
        lines = [line for line in text.splitlines() if blob not in line]
        spare = tmp_path / "spare"
        lines = text.replace(blob, _another_key(spare)).splitlines()
        policy.write_text("\n".join(lines) + "\n")
        admin.git("commit", "--quiet", "-S", "-am", "another key for writer6")
        admin.git("push", "--quiet", crowd.url, "HEAD:main")
        with pytest.raises(AccessError):
            store.set("revoked", b"2")


def _another_key(path: Path) -> str:
    from gitkv.testing.world import make_key

    make_key(path, "spare")
    return path.with_suffix(".pub").read_text().split()[1]
