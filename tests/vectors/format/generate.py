"""Writes this folder's JSON anew: `python tests/vectors/format/generate.py`. The same bytes each
time.

For whoever writes a second implementation: `docs/spec/` and these files are enough to check that it
makes the same trees, pages, commits and watchlog entries, and refuses what is to be refused.
`README.md` says what each file holds.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gitkv.gateway.watchlog import entry_of, write_entry
from gitkv.ledger.compose import Stamp, Tip, compose, compose_first
from gitkv.ledger.plan import Put, plan_changes
from gitkv.ledger.roots import Trees
from gitkv.ledger.uuid7 import uuid7
from gitkv.model.commit import Identity
from gitkv.model.key import encode_key
from gitkv.model.oid import BLOB, COMMIT, EMPTY_TREE, TREE, Oid
from gitkv.model.policy import Policy
from gitkv.model.refs import EpochLabel, Namespace
from gitkv.model.ssh_wire import put_string
from gitkv.policy.text import PolicyTextError, parse_policy
from gitkv.sign import sshsig
from gitkv.testing.memory import MemoryObjectStore

HERE = Path(__file__).parent
START_S = 1_700_000_000
POLICY = Oid(bytes.fromhex("6b" * 20))  # the policy commit that the watchlog entries name
WRITER_SEED, GATEWAY_SEED = bytes(range(32)), bytes(range(32, 64))

VALID_KEYS = (
    "a",
    "cfg:region",
    "a b",
    ".hidden",
    "a/b",
    "~tilde",
    "%",
    "100%",
    "é",
    "日本",
    "A",
    "a.manifest.json",
    "x" * 240,
    "€" * 80,
    "\ue000",
)
INVALID_KEYS = {
    "empty": "",
    "241 bytes": "x" * 241,
    "a control character": "a\tb",
    "a C1 control character": "a\x85b",
    "not in normal form C": "e\u0301",
    "unassigned in Unicode 14.0": "a\u0378",
    "assigned by Unicode 15.0 only, and reordered by it": "a\U0001e08f\u0323",
    "a noncharacter": "\ufffe",
}
INVALID_NAMES = {
    "empty": "",
    "a byte that must be escaped": "a b",
    "lower-case hex": "a%2fb",
    "an escape that is not needed": "%61",
    "a cut escape": "a%2",
    "a leading dot": ".hidden",
    "bytes that are not UTF-8": "%FF",
    "a control character": "a%09b",
}
TREE_SIZES = (1, 7, 64, 200, 3000)


class Key:
    """An Ed25519 key from a fixed seed: its signatures are the same each time."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.blob = put_string(b"ssh-ed25519") + put_string(
            self._key.public_key().public_bytes_raw()
        )

    def sign(self, payload: bytes) -> bytes:
        raw = self._key.sign(sshsig.signed_data(payload))
        return sshsig.encode(self.blob, b"ssh-ed25519", raw)


def keys() -> dict[str, Any]:
    """Keys and their names (format 1)."""
    return {
        "valid": [{"key": key, "name": encode_key(key).decode()} for key in VALID_KEYS],
        "invalid_keys": [{"why": why, "key": key} for why, key in INVALID_KEYS.items()],
        "invalid_names": [{"why": why, "name": name} for why, name in INVALID_NAMES.items()],
    }


def trees() -> list[dict[str, Any]]:
    """Maps of entries (format 3): the key `key:I` has the value `I`, for I below `size`. `data` is
    the id of the map's root, `nodes` how many trees it has.
    """
    found = []
    for size in TREE_SIZES:
        store = MemoryObjectStore()
        changes: dict[bytes, Put | None] = {
            encode_key(f"key:{at}"): Put(str(at).encode()) for at in range(size)
        }
        plan = plan_changes(Trees(EMPTY_TREE, EMPTY_TREE), 1, changes, store.read, store.add)
        [(_, root)] = _entries(store.read(plan.ledger_tree, TREE))
        found.append({"size": size, "data": root.hex(), "nodes": _count(store, root)})
    return found


def _entries(tree: bytes) -> list[tuple[bytes, Oid]]:
    """Mode and id of each entry of a tree."""
    found, at = [], 0
    while at < len(tree):
        end = tree.index(b"\0", at)
        found.append((tree[at:end].split(b" ")[0], Oid(tree[end + 1 : end + 21])))
        at = end + 21
    return found


def _count(store: MemoryObjectStore, root: Oid) -> int:
    below = [oid for mode, oid in _entries(store.read(root, TREE)) if mode == b"40000"]
    return 1 + sum(_count(store, oid) for oid in below)


def ledger() -> dict[str, Any]:
    """Eight transactions: what each changes, and every commit, page and entry that follows."""
    writer, gateway = Key(WRITER_SEED), Key(GATEWAY_SEED)
    store = MemoryObjectStore()
    many = {f"many:{at:03d}": Put(str(at).encode()) for at in range(150)}
    story: list[dict[str, Put | None]] = [
        {"a": Put(b"1"), "b": Put(b"2", "text/plain", 0)},
        {"a": Put(b"one"), "c": Put(b"", "", START_S + 86400)},
        {"b": None},
        {"b": Put(b"again"), "a": None},
        dict(many),
        {"many:077": None, "many:078": Put(b"changed", 'a "quoted" \\ type', START_S * 2)},
        {"é/x": Put("ü".encode())},
    ]
    first = compose_first(
        Namespace("main"), EpochLabel("e1"), _stamp(0, "begin main"), gateway.sign, store.add
    )
    tip, previous = first.tip, None
    steps = [_step({}, tip, store, gateway, previous)]
    for number, changes in enumerate(story, 1):
        named = {encode_key(key): put for key, put in changes.items()}
        plan = plan_changes(tip.trees, tip.seq + 1, named, store.read, store.add)
        stamp = _stamp(
            number, f"step {number}\n\nwith a body\n" if number == 2 else f"step {number}"
        )
        tip = compose(tip, plan, stamp, writer.sign, store.read, store.add).tip
        previous = Oid(bytes.fromhex(steps[-1]["watchlog_commit"]))
        steps.append(_step(changes, tip, store, gateway, previous))
    return {
        "writer_public_key": _line(writer),
        "gateway_public_key": _line(gateway),
        "policy_commit": POLICY.hex(),
        "steps": steps,
    }


def _stamp(number: int, text: str) -> Stamp:
    now_s = START_S + number
    identity = Identity("Ann Example", "ann@example.org", now_s, "+0130")
    return Stamp(identity, uuid7(now_s * 1000, bytes([number]) * 10), text)


def _step(
    changes: dict[str, Put | None],
    tip: Tip,
    store: MemoryObjectStore,
    gateway: Key,
    previous: Oid | None,
) -> dict[str, Any]:
    entry, body = write_entry(entry_of(tip, POLICY), previous, START_S + 100 + tip.seq, gateway)
    return {
        "changes": {
            key: None if put is None else [put.value.decode(), put.ctype, put.expires]
            for key, put in changes.items()
        },
        "ledger_tree": tip.trees[0].hex(),
        "index_tree": tip.trees[1].hex(),
        "ledger_commit": tip.ledger.oid.hex(),
        "ledger_commit_text": store.read(tip.ledger.oid, COMMIT).decode(),
        "index_commit": tip.index_oid.hex(),
        "index_commit_text": store.read(tip.index_oid, COMMIT).decode(),
        "watchlog_commit": entry.hex(),
        "watchlog_commit_text": body.decode(),
        "index_pages": _pages(store, tip.trees[1]) if tip.seq != 5 else {},
    }


def _pages(store: MemoryObjectStore, tree: Oid) -> dict[str, str]:
    """Every page below an index tree, by its id."""
    found: dict[str, str] = {}
    waiting = [tree]
    while waiting:
        for mode, oid in _entries(store.read(waiting.pop(), TREE)):
            if mode == b"100644":
                found[oid.hex()] = store.read(oid, BLOB).decode()
            else:
                waiting.append(oid)
    return dict(sorted(found.items()))


def _line(key: Key) -> str:
    return "ssh-ed25519 " + base64.b64encode(key.blob).decode()


def _broken_texts(block: str) -> dict[str, str]:
    """What may not come before the trailer block."""
    return {
        "no trailer block": "subject\n",
        "no subject": "\n\n" + block,
        "a blank subject": " \t\n\n" + block,
        "two lines of subject": "one\ntwo\n\n" + block,
        "no empty line before the block": "subject\n" + block,
        "a line of KV- in the body": "subject\n\nkv-note: 1\n\n" + block,
        "a divider in the body": "subject\n\n--- \n\n" + block,
        "a control character": "sub\x01ject\n\n" + block,
        "a C1 control character": "sub\x85ject\n\n" + block,
        "a line separator": "sub\u2028ject\n\n" + block,
    }


def _broken_blocks(lines: list[str], with_block: Callable[[list[str]], str]) -> dict[str, str]:
    """Trailer blocks that are spelled in another way."""
    swapped = [lines[1], lines[0], *lines[2:]]
    return {
        "no final LF": with_block(lines)[:-1],
        "two final LF": with_block(lines) + "\n",
        "text after the block": with_block(lines) + "\nmore\n",
        "a trailer missing": with_block(lines[:3] + lines[4:]),
        "a trailer twice": with_block([*lines[:3], lines[2], *lines[3:]]),
        "another order": with_block(swapped),
        "an unknown trailer": with_block([*lines, "KV-More: 1"]),
        "another case": with_block(["kv" + lines[0][2:], *lines[1:]]),
        "two spaces": with_block([lines[0].replace(": ", ":  "), *lines[1:]]),
        "CR before LF": with_block(lines).replace("\n", "\r\n"),
        "a folded line": with_block([lines[0].replace(": ", ":\n "), *lines[1:]]),
        "a number with a sign": with_block([line.replace("Seq: ", "Seq: +") for line in lines]),
        "a number with a leading zero": with_block(
            [line.replace("Seq: ", "Seq: 0") for line in lines]
        ),
        "an id in upper case": with_block(
            [
                line.upper().replace("KV-INDEX-TREE", "KV-Index-Tree") if "Index" in line else line
                for line in lines
            ]
        ),
        "another version": with_block([lines[0].replace("1", "2"), *lines[1:]]),
    }


def messages(good: str) -> dict[str, Any]:
    """Messages of ledger commits (attestation 1.5, 2): `good` is one; each of the others breaks
    one clause.
    """
    block = good[good.rindex("\n\n") + 2 :]
    lines = block.split("\n")[:-1]

    def with_block(changed: list[str]) -> str:
        return "subject\n\n" + "\n".join(changed) + "\n"

    invalid = _broken_texts(block) | _broken_blocks(lines, with_block)
    return {
        "valid": [
            good,
            "subject\n\na body\n\nof two paragraphs\n\n" + block,
            "é — subject\n\n\tindented\n\n" + block,
        ],
        "invalid": [{"why": why, "message": text} for why, text in invalid.items()],
    }


def policies() -> dict[str, Any]:
    """Policies (policy 1 to 5): what a valid one says, and the places of the problems of others."""
    key, other = _line(Key(WRITER_SEED)), _line(Key(GATEWAY_SEED))
    small = (
        f"version: 1\nprincipals:\n  ann:\n    admin: true\n    keys:\n      - {key} laptop\n"
        "namespaces:\n  main:\n    writers:\n      ann: {}\n"
    )
    full = (
        f"version: 1\nstargate:\n  push_url: ssh://git@stargate.example:2222/store.git\n"
        f"  gateway_keys: [{other}]\nsignatures: required\nprincipals:\n  ann:\n    admin: true\n"
        f"    emails: [ann@example.org]\n    keys:\n      - key: {key}\n"
        "        not_after: 2027-01-31T12:00:00Z\nnamespaces:\n  main:\n"
        "    writers:\n      ann: {prefixes: ['cfg:', 'é']}\n    allowed_prefixes: ['cfg:', 'é']\n"
        "    max_value_inline: 2MiB\n    max_value_total: 1GiB\n    max_keys_per_transaction: 7\n"
        "    retention: {ttl_default: 30d}\n    lfs: allow\n    verify: before-publish\n"
    )
    invalid = {
        "empty": "",
        "not YAML": "version: [1\n",
        "a name twice": small + "version: 1\n",
        "an unknown field": small + "colour: red\n",
        "an alias": small.replace("keys:", "keys: &k", 1) + "x: *k\n",
        "a tag": small.replace("version: 1", "version: !!int 1"),
        "another version": small.replace("version: 1", "version: 2"),
        "text that other readers take for a flag": small.replace("  ann:\n", "  no:\n", 1),
        "a number in octal": small.replace(
            "writers:", "max_keys_per_transaction: 010\n    writers:"
        ),
        "a time to live without a unit": small + "    retention: {ttl_default: 30}\n",
        "no admin": small.replace("admin: true", "admin: false"),
        "a writer who is no principal": small.replace("ann: {}", "bob: {}"),
        "a namespace that cannot be a ref": small.replace("  main:", "  ma..in:"),
        "a key that is none": small.replace(key, key[:-4]),
        "a key of the gateway's that a principal has, too": full.replace(key, other),
        "two documents": small + "---\nversion: 1\n",
    }
    return {
        "valid": [
            {"text": text, "says": _said(parse_policy(text.encode()))} for text in (small, full)
        ],
        "invalid": [
            {"why": why, "text": text, "places": _places(text)} for why, text in invalid.items()
        ],
    }


def _said(policy: Policy) -> dict[str, Any]:
    return {
        "push_url": policy.push_url,
        "gateway_keys": [key.fingerprint for key in policy.gateway_keys],
        "signatures_required": policy.signatures_required,
        "principals": [
            {
                "name": principal.name,
                "admin": principal.admin,
                "emails": list(principal.emails),
                "keys": [[key.fingerprint, key.not_after_s, key.revoked] for key in principal.keys],
            }
            for principal in policy.principals
        ],
        "namespaces": [
            {
                "ns": rules.ns,
                "writers": {
                    writer.principal: [prefix.decode() for prefix in writer.prefixes]
                    for writer in rules.writers
                },
                "allowed_prefixes": [prefix.decode() for prefix in rules.allowed_prefixes],
                "limits": [rules.value_bytes_max, rules.total_bytes_max, rules.keys_max],
                "lfs_forbidden": rules.lfs_forbidden,
                "verify": rules.verify,
                "ttl_default_s": rules.ttl_default_s,
            }
            for rules in policy.namespaces
        ],
    }


def _places(text: str) -> list[list[int]]:
    """Line and column of each problem."""
    try:
        parse_policy(text.encode())
    except PolicyTextError as error:
        return [[problem.line, problem.column] for problem in error.errors]
    raise AssertionError(text)


def everything() -> dict[str, Any]:
    """What each file of this folder holds."""
    story = ledger()
    commit = story["steps"][1]["ledger_commit_text"]
    good = commit[commit.index("\n\n") + 2 :]
    return {
        "keys.json": keys(),
        "trees.json": trees(),
        "ledger.json": story,
        "messages.json": messages(good),
        "policies.json": policies(),
    }


def text_of(value: object) -> str:
    """JSON as it is kept here: one value a line, ASCII."""
    return json.dumps(value, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    for name, content in everything().items():
        (HERE / name).write_text(text_of(content))
        sys.stdout.write(f"{name}\n")
