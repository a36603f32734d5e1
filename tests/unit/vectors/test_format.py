"""The vectors of `vectors/format` against the writer, the audit and a third, naive reading."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.naive_store import ObjectsInMemory, build_map

from gitkv.audit import commit as audit_commit
from gitkv.audit.lines import is_key_name, parse_page
from gitkv.errors import KeyInvalidError
from gitkv.gateway.watchlog import parse_entry
from gitkv.model.attestation import parse_message
from gitkv.model.commit import parse_commit
from gitkv.model.key import decode_name, encode_key
from gitkv.model.oid import BLOB, COMMIT, Oid, hash_object
from gitkv.model.verdict import FormError
from gitkv.policy.text import PolicyTextError, parse_policy
from gitkv.sign import sshsig

FOLDER = Path(__file__).parents[2] / "vectors" / "format"


def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("format_vectors", FOLDER / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generator_makes_these_very_bytes() -> None:
    made = generator()
    files = {name: made.text_of(content) for name, content in made.everything().items()}
    assert files == {path.name: path.read_text() for path in sorted(FOLDER.glob("*.json"))}


def test_keys_have_one_name_and_names_one_spelling() -> None:
    keys = load("keys.json")
    for pair in keys["valid"]:
        assert encode_key(pair["key"]).decode() == pair["name"]
        assert decode_name(pair["name"].encode()) == pair["key"]
        assert is_key_name(pair["name"].encode())
    for case in keys["invalid_keys"]:
        with pytest.raises(KeyInvalidError):
            encode_key(case["key"])
    for case in keys["invalid_names"]:
        assert not is_key_name(case["name"].encode()), case["why"]


@pytest.mark.parametrize("case", load("trees.json"), ids=lambda case: str(case["size"]))
def test_the_naive_reading_builds_the_same_trees(case: dict[str, Any]) -> None:
    store = ObjectsInMemory()
    payloads = {
        encode_key(f"key:{at}"): store.put(BLOB, str(at).encode()) for at in range(case["size"])
    }
    root = build_map(store, payloads, lines=False)
    assert root is not None and root.hex() == case["data"]
    assert len(store.held) - case["size"] == case["nodes"]


def test_commits_are_what_both_readers_say(subtests_of_ledger: list[dict[str, Any]]) -> None:
    previous_index: Oid | None = None
    for step in subtests_of_ledger:
        body = step["ledger_commit_text"].encode()
        oid = hash_object(COMMIT, body)
        assert oid.hex() == step["ledger_commit"]
        commit = parse_commit(body)
        text, attestation = parse_message(commit.message)
        read = audit_commit.parse_commit(body)
        assert commit.tree.hex() == read.tree.decode() == step["ledger_tree"]
        assert attestation.index_tree.hex() == read.index_tree.decode() == step["index_tree"]
        assert (attestation.seq, attestation.txn) == (read.seq, read.txn.decode())
        assert text.split(b"\n")[0] == read.subject
        index = audit_commit.index_commit(oid, read, previous_index)
        assert index.decode() == step["index_commit_text"]
        previous_index = hash_object(COMMIT, index)
        assert previous_index.hex() == step["index_commit"]


@pytest.fixture
def subtests_of_ledger() -> list[dict[str, Any]]:
    return list(load("ledger.json")["steps"])


def test_signatures_hold_and_name_their_keys() -> None:
    ledger = load("ledger.json")
    for step in ledger["steps"]:
        commit = parse_commit(step["ledger_commit_text"].encode())
        signature = sshsig.parse(commit.armour)
        assert sshsig.holds(signature, commit.payload)
        expected = "gateway_public_key" if step["changes"] == {} else "writer_public_key"
        assert _blob(ledger[expected]) == signature.key_blob
        entry = parse_commit(step["watchlog_commit_text"].encode())
        assert sshsig.holds(sshsig.parse(entry.armour), entry.payload)


def _blob(line: str) -> bytes:
    import base64

    return base64.b64decode(line.split(" ")[1])


def test_watchlog_entries_name_their_commits_in_order() -> None:
    ledger = load("ledger.json")
    before: tuple[str, ...] = ()
    for step in ledger["steps"]:
        body = step["watchlog_commit_text"].encode()
        entry = parse_entry(body)
        assert hash_object(COMMIT, body).hex() == step["watchlog_commit"]
        assert entry.heads.ledger.hex() == step["ledger_commit"]
        assert entry.heads.index_oid.hex() == step["index_commit"]
        assert entry.policy.hex() == ledger["policy_commit"]
        assert tuple(parent.hex() for parent in parse_commit(body).parents) == before
        before = (step["watchlog_commit"],)


def test_pages_are_read_by_the_audit_and_hash_to_their_ids() -> None:
    seen = 0
    for step in load("ledger.json")["steps"]:
        for oid, text in step["index_pages"].items():
            assert hash_object(BLOB, text.encode()).hex() == oid
            kind = "live" if '"oid"' in text else "gone"
            lines = parse_page(text.encode(), kind)
            assert lines is not None and len(lines) == text.count("\n")
            seen += 1
    assert seen > 10


@pytest.mark.parametrize("case", load("messages.json")["invalid"], ids=lambda case: case["why"])
def test_a_message_that_breaks_a_clause_is_refused_by_both_readers(case: dict[str, str]) -> None:
    with pytest.raises(FormError):
        parse_message(case["message"].encode())
    with pytest.raises(ValueError, match=r"^[12]\."):
        audit_commit.parse_commit(_commit_with(case["message"]))


@pytest.mark.parametrize("message", load("messages.json")["valid"])
def test_a_good_message_is_read_alike_by_both(message: str) -> None:
    _, attestation = parse_message(message.encode())
    assert audit_commit.parse_commit(_commit_with(message)).seq == attestation.seq


def _commit_with(message: str) -> bytes:
    text: str = load("ledger.json")["steps"][1]["ledger_commit_text"]
    return (text[: text.index("\n\n") + 2] + message).encode()


def test_policies_say_what_the_vectors_say() -> None:
    said = generator()._said
    policies = load("policies.json")
    for case in policies["valid"]:
        assert said(parse_policy(case["text"].encode())) == case["says"]
    for case in policies["invalid"]:
        with pytest.raises(PolicyTextError) as caught:
            parse_policy(case["text"].encode())
        assert [[one.line, one.column] for one in caught.value.errors] == case["places"]
