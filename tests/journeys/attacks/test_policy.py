"""Attacks on the policy and around it: who may change it, what may become policy, and keys,
prefixes and people it no longer lets in.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator

import pytest
from support.forge import (
    Bend,
    Forge,
    Unharmed,
    assert_nothing_left,
    assert_refused,
    emitter,
    settled,
    ssh_line,
    talk,
)
from support.policies import add_principal, key_entry_of, policy_text, replaced

from gitkv.ledger.plan import Put
from gitkv.model.commit import sign_payload
from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import POLICY_REF, RefUpdate
from gitkv.testing.world import Person, World, wait_until

harmless = pytest.mark.usefixtures("unharmed")


def commented(text: bytes) -> bytes:
    """The same policy in other bytes."""
    return text + b"# %d\n" % time.time_ns()


def new_key(world: World, name: str) -> str:
    return Person(world, name).public_key.read_text().strip()


@pytest.fixture
def changing(world: World, admin_forge: Forge) -> Iterator[Callable[[bytes], None]]:
    """Puts a policy in force; the one before comes back at the end."""
    first = policy_text(world)

    def change(text: bytes) -> None:
        answered = admin_forge.push(admin_forge.policy_change(text))
        assert answered.accepted, answered

    yield change
    change(commented(first))


@harmless
def test_a_writer_cannot_change_the_policy(world: World, forge: Forge) -> None:
    answered = forge.push(
        forge.policy_change(replaced(policy_text(world), "      alice: {}\n", ""))
    )

    assert_refused(answered, 3, "policy.admin")


@harmless
def test_a_writer_cannot_make_himself_admin(world: World, forge: Forge) -> None:
    text = replaced(policy_text(world), "  bob:\n", "  bob:\n    admin: true\n")

    assert_refused(forge.push(forge.policy_change(text)), 3, "policy.admin")


@harmless
def test_a_policy_change_is_signed_even_by_an_admin(world: World, admin_forge: Forge) -> None:
    change = admin_forge.policy_change(commented(policy_text(world)), sign=lambda payload: b"")

    assert_refused(admin_forge.push(change), 3, "signature.unsigned")


@harmless
def test_a_policy_change_and_its_use_do_not_come_together(
    world: World, admin_forge: Forge, forge: Forge
) -> None:
    """Mallory is let in by the first commit and uses it in the second; then with a transaction
    beside it.
    """
    mallory = Forge(world, Person(world, "mallory"))
    text = add_principal(
        policy_text(world), "mallory", key=mallory.person.public_key.read_text().strip()
    )
    text = replaced(text, "  mallory:\n", "  mallory:\n    admin: true\n")
    first = admin_forge.policy_change(text)
    second = mallory.policy_change(commented(text), base=Oid(bytes(first.updates[0].new)))
    both = second._replace(
        objects=first.objects | second.objects,
        updates=(RefUpdate(POLICY_REF, first.updates[0].old, second.updates[0].new),),
    )
    assert_refused(admin_forge.push(both), 3, "signature.unknown-key")

    used = mallory.transaction()
    together = used._replace(
        objects=used.objects | first.objects, updates=used.updates + first.updates
    )
    assert_refused(admin_forge.push(together), 3, "push.policy-alone")
    mallory.close()


@harmless
def test_a_right_taken_away_is_gone_for_the_next_commit_of_the_same_push(
    world: World, admin_forge: Forge
) -> None:
    """Alice steps down in the first commit and goes on as admin in the second."""
    text = replaced(policy_text(world), "  bob:\n", "  bob:\n    admin: true\n")
    left = re.sub(rb"(  alice:\n)    admin: true[^\n]*\n", rb"\1", text)
    first = admin_forge.policy_change(left)
    second = admin_forge.policy_change(commented(left), base=Oid(bytes(first.updates[0].new)))
    both = second._replace(
        objects=first.objects | second.objects,
        updates=(RefUpdate(POLICY_REF, first.updates[0].old, second.updates[0].new),),
    )
    assert_refused(admin_forge.push(both), 3, "policy.admin")


@harmless
def test_the_policy_does_not_go_back(world: World, admin_forge: Forge, unharmed: Unharmed) -> None:
    older = admin_forge.policy_commit()
    assert admin_forge.push(admin_forge.policy_change(commented(policy_text(world)))).accepted
    unharmed.again()
    now = admin_forge.policy_commit()
    back = admin_forge.policy_change(b"")._replace(
        objects={}, updates=(RefUpdate(POLICY_REF, now, older),)
    )

    assert_refused(admin_forge.push(back), 3)


@harmless
def test_a_policy_change_on_an_older_base_is_a_conflict(
    world: World, admin_forge: Forge, unharmed: Unharmed
) -> None:
    late = admin_forge.policy_change(commented(policy_text(world)))
    assert admin_forge.push(admin_forge.policy_change(commented(policy_text(world)))).accepted
    unharmed.again()

    assert_refused(admin_forge.push(late), 2, "base.stale")
    lying = late._replace(updates=(late.updates[0]._replace(old=admin_forge.policy_commit()),))
    assert_refused(admin_forge.push(lying), 3, "commit.parents", "push.not-fast-forward")


@harmless
def test_a_new_root_is_no_policy(world: World, admin_forge: Forge) -> None:
    change = admin_forge.policy_change(policy_text(world))
    fresh = change._replace(updates=(change.updates[0]._replace(old=ZERO_OID),))

    assert_refused(admin_forge.push(fresh), 2, "base.stale")


@harmless
@pytest.mark.parametrize(
    "seconds", [1, int(time.time()) + 86_400, 253_402_300_799], ids=["1970", "tomorrow", "9999"]
)
def test_a_policy_change_of_another_time_is_refused(
    world: World, admin_forge: Forge, seconds: int
) -> None:
    change = admin_forge.policy_change(commented(policy_text(world)), seconds=seconds)

    assert_refused(admin_forge.push(change), 3, "commit.time")


def aliases(depth: int) -> bytes:
    lines = ["a0: &a0 [x, x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, depth)
    ]
    return "\n".join(lines).encode() + b"\n"


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "an alias bomb": lambda text: text + aliases(9),
    "an alias bomb in place": lambda text: replaced(
        text, "namespaces:\n", "namespaces:\n" + "  a: &a [x]\n  b: [*a, *a]\n"
    ),
    "deep nesting": lambda text: text + b"x: " + b"[" * 50_000 + b"]" * 50_000 + b"\n",
    "deep mappings": lambda text: text + b"x: " + b"{a: " * 5_000 + b"}" * 5_000 + b"\n",
    "a key twice": lambda text: text + b"signatures: optional\n",
    "a principal twice": lambda text: replaced(
        text, "  bob:\n", "  bob:\n    admin: true\n    keys: []\n  bob:\n"
    ),
    "a merge key": lambda text: text + b"<<: {version: 1}\n",
    "a tag": lambda text: replaced(text, "version: 1", "version: !!int 1"),
    "a Python tag": lambda text: replaced(
        text, "version: 1", "version: !!python/object/apply:os.system [id]"
    ),
    "two documents": lambda text: text + b"---\nversion: 1\n",
    "a directive": lambda text: b"%YAML 1.2\n---\n" + text,
    "text for a number": lambda text: replaced(text, "version: 1", 'version: "1"'),
    "a list for a mapping": lambda text: re.sub(
        rb"(?ms)^principals:.*?^signatures", b"principals: []\nsignatures", text
    ),
    "a number for a list": lambda text: re.sub(
        rb"(?m)^    keys:\n      - .*$", b"    keys: 7", text, count=1
    ),
    "an unknown field": lambda text: text + b"extra: 1\n",
    "yes for true": lambda text: replaced(text, "admin: true", "admin: yes"),
    "a limit in octal": lambda text: replaced(
        text, "max_keys_per_transaction: 200000", "max_keys_per_transaction: 0777"
    ),
    "a limit beyond the limit": lambda text: replaced(
        text, "max_value_inline: 1MiB", "max_value_inline: 1000GiB"
    ),
    "NUL": lambda text: text + b"# \0\n",
    "ESC": lambda text: text + b"# \x1b[2J\n",
    "a right-to-left mark": lambda text: text + "# \u202e\n".encode(),
    "a byte-order mark": lambda text: b"\xef\xbb\xbf" + text,
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "not UTF-8": lambda text: text + b"# \xff\n",
    "CR": lambda text: text.replace(b"\n", b"\r\n"),
    "empty": lambda text: b"",
    "a megabyte": lambda text: text + b"#" * (1 << 20) + b"\n",
    "a writer nobody knows": lambda text: replaced(text, "      bob: {}", "      nobody: {}"),
    "no admin": lambda text: re.sub(rb"    admin: true[^\n]*\n", b"", text),
    "an admin without a usable key": lambda text: replaced(
        text,
        f"- {key_entry_of(text, 'alice')}",
        f"- key: {key_entry_of(text, 'alice')}\n        revoked: true",
    ),
    "an admin whose key has expired": lambda text: replaced(
        text,
        f"- {key_entry_of(text, 'alice')}",
        f"- key: {key_entry_of(text, 'alice')}\n        not_after: 2001-01-01",
    ),
    "no gateway keys": lambda text: re.sub(rb"(?m)^  gateway_keys:.*\n    - .*\n", b"", text),
    "a namespace less": lambda text: text.replace(b"\n  main:\n", b"\n  other:\n"),
}


@harmless
@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_what_is_no_policy_does_not_become_one(
    world: World, admin_forge: Forge, change: Callable[[bytes], bytes]
) -> None:
    text = policy_text(world)
    assert change(text) != text

    answered = admin_forge.push(admin_forge.policy_change(change(text)))

    assert_refused(answered, 3)
    assert answered.seconds < 5
    assert len(answered.reasons) <= 20


@harmless
@pytest.mark.parametrize(
    "mode", [b"120000", b"100755", b"160000"], ids=["a link", "a program", "a submodule"]
)
def test_the_policy_is_a_plain_file(admin_forge: Forge, world: World, mode: bytes) -> None:
    change = admin_forge.policy_change(commented(policy_text(world)))
    forged = bent_tree(
        admin_forge,
        change.objects[Oid(bytes(change.updates[0].new))][1],
        mode,
        commented(policy_text(world)),
    )

    answered = admin_forge.push(
        change._replace(objects=forged[1], updates=(change.updates[0]._replace(new=forged[0]),))
    )

    assert_refused(answered, 5 if mode == b"160000" and 5 in answered.codes else 3)


def bent_tree(
    forge: Forge, commit: bytes, mode: bytes, text: bytes
) -> tuple[Oid, dict[Oid, tuple[bytes, bytes]]]:
    """The policy commit anew, its file with another mode."""
    objects: dict[Oid, tuple[bytes, bytes]] = {}
    emit = emitter(objects)
    blob = emit(b"blob", text)
    tree = emit(b"tree", b"40000 .kv\0" + emit(b"tree", mode + b" policy.yaml\0" + blob))
    payload = re.sub(rb"gpgsig [^\n]*\n(?: [^\n]*\n)*", b"", commit)
    payload = re.sub(rb"^tree [0-9a-f]{40}", b"tree " + tree.hex().encode(), payload)
    return emit(b"commit", sign_payload(payload, forge.signer.sign(payload))), objects


def test_a_policy_that_inflates_beyond_reading_is_its_writers_fault_and_wakes_no_operator(
    world: World, forge: Forge
) -> None:
    before = settled(world)
    assert_refused(forge.push(forge.policy_change(b"#" * (17 << 20))), 3, "object.size")
    assert_nothing_left(world, before)
    assert b"push.failed" not in world.log.read_bytes()


@harmless
def test_a_policy_push_brings_eight_mebibytes_at_most(world: World, admin_forge: Forge) -> None:
    stuffed = admin_forge.policy_change(commented(policy_text(world)))
    emitter(stuffed.objects)(b"blob", os.urandom(9 << 20))

    assert_refused(admin_forge.push(stuffed), 5, "pack.refused")


# Keys and people as the policy stands.


def test_an_expired_key_does_not_sign_in_the_past(
    world: World, forge: Forge, changing: Callable[[bytes], None]
) -> None:
    """Eve's key has expired; she dates her commit to before."""
    eve = Person(world, "eve")
    text = add_principal(policy_text(world), "eve", key=eve.public_key.read_text().strip())
    entry = key_entry_of(text, "eve")
    changing(text)
    with Forge(world, eve) as attack:
        attack.push_good()
        changing(replaced(text, f"- {entry}", f"- key: {entry}\n        not_after: 2020-01-01"))
        before = settled(world)
        backdated = Bend(
            identity=lambda line: re.sub(
                rb"> \d+", b"> %d" % attack.tip().ledger.commit.identity().seconds, line
            )
        )
        long_ago = Bend(identity=lambda line: re.sub(rb"> \d+", b"> 1500000000", line))

        for bend in (Bend(), backdated, long_ago):
            assert_refused(forge.push(attack.transaction(bend=bend)), 3, "signature.expired-key")
        assert attack.push(attack.transaction()).exit_code == 255, "the key opened the door"
        assert_nothing_left(world, before)


def test_a_revoked_key_is_refused(
    world: World, forge: Forge, changing: Callable[[bytes], None]
) -> None:
    eve = Person(world, "mallet")
    text = add_principal(policy_text(world), "mallet", key=eve.public_key.read_text().strip())
    entry = key_entry_of(text, "mallet")
    changing(text)
    with Forge(world, eve) as attack:
        attack.push_good()
        changing(replaced(text, f"- {entry}", f"- key: {entry}\n        revoked: true"))
        before = settled(world)

        assert_refused(forge.push(attack.transaction()), 3, "signature.revoked-key")
        assert attack.push(attack.transaction()).exit_code == 255
        assert_nothing_left(world, before)


def test_a_key_that_was_revoked_opens_nothing_on_a_connection_that_is_open_already(
    world: World, changing: Callable[[bytes], None]
) -> None:
    person = Person(world, "lingerer")
    text = add_principal(policy_text(world), "lingerer", key=person.public_key.read_text().strip())
    entry = key_entry_of(text, "lingerer")
    changing(text)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a socket's path is short
        shared = ["-o", f"ControlPath={folder}/s"]
        master = subprocess.Popen(
            [*ssh_line(world, person, *shared, "-M", "-N")],
            env=person.env,
            stdin=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: os.path.exists(f"{folder}/s"), 10)
            assert (
                b"refs/kv/main"
                in talk(world, person, "git-upload-pack '/gate.git'", b"0000", *shared).stdout
            )
            changing(replaced(text, f"- {entry}", f"- key: {entry}\n        revoked: true"))

            done = talk(world, person, "git-upload-pack '/gate.git'", b"0000", *shared)

            assert done.returncode != 0 and done.stdout == b"", done
        finally:
            master.terminate()
            master.wait(30)


def test_a_removed_writer_is_unknown(
    world: World, forge: Forge, changing: Callable[[bytes], None]
) -> None:
    text = policy_text(world)
    changing(
        add_principal(
            text, "gone", key=(person := Person(world, "gone")).public_key.read_text().strip()
        )
    )
    changing(commented(text))
    before = settled(world)

    with Forge(world, person) as attack:
        assert_refused(forge.push(attack.transaction()), 3, "signature.unknown-key")
    assert_nothing_left(world, before)


def test_a_prefix_of_others_is_refused(
    world: World, forge: Forge, changing: Callable[[bytes], None]
) -> None:
    person = Person(world, "narrow")
    key = person.public_key.read_text().strip()
    changing(add_principal(policy_text(world), "narrow", key=key, writer='{prefixes: ["cfg:"]}'))
    forge.push(forge.transaction({b"other:key": Put(b"x%d" % time.time_ns())}))
    with Forge(world, person) as attack:
        assert attack.push(attack.transaction({b"cfg:mine": Put(b"x%d" % time.time_ns())})).accepted
        before = settled(world)
        for changes in (
            {b"cfg": Put(b"x")},
            {b"cfh:mine": Put(b"x")},
            {b"other:key": None},
            {b"cfg:mine": Put(b"y"), b"zzz": Put(b"y")},
            {b"Cfg:mine": Put(b"x")},
        ):
            assert_refused(attack.push(attack.transaction(changes)), 3, "prefix.not-owned")
        assert_nothing_left(world, before)


def test_a_principal_who_is_no_writer_writes_nothing(
    world: World, changing: Callable[[bytes], None]
) -> None:
    person = Person(world, "reader")
    text = add_principal(policy_text(world), "reader", key=person.public_key.read_text().strip())
    changing(replaced(text, "      reader: {}\n", ""))
    before = settled(world)

    with Forge(world, person) as attack:
        assert_refused(attack.push(attack.transaction()), 3, "writer.unknown")
    assert_nothing_left(world, before)


def test_an_email_of_another_principal_is_forgery(
    world: World, forge: Forge, changing: Callable[[bytes], None]
) -> None:
    changing(
        replaced(policy_text(world), "  alice:\n", "  alice:\n    emails: [alice@example.com]\n")
    )
    before = settled(world)

    for email in (b"alice@example.com", b"ALICE@example.com"):
        as_alice = Bend(
            identity=lambda line, email=email: re.sub(rb"<[^>]*>", b"<" + email + b">", line)
        )
        assert_refused(forge.push(forge.transaction(bend=as_alice)), 3, "identity.forged")
    assert_nothing_left(world, before)


def test_an_admin_may_leave_when_another_stays_and_is_none_afterwards(
    world: World, admin_forge: Forge
) -> None:
    """The last test of the module: alice does not come back by herself."""
    text = policy_text(world)
    second = replaced(text, "  bob:\n", "  bob:\n    admin: true\n")
    assert admin_forge.push(admin_forge.policy_change(second)).accepted
    left = re.sub(rb"(  alice:\n)    admin: true[^\n]*\n", rb"\1", second)
    assert left != second
    assert admin_forge.push(admin_forge.policy_change(left)).accepted
    before = settled(world)

    assert_refused(admin_forge.push(admin_forge.policy_change(text)), 3, "policy.admin")
    assert_nothing_left(world, before)
    with Forge(world, world.person("bob")) as bob:
        assert bob.push(bob.policy_change(commented(text))).accepted
