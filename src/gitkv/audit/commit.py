"""A strict reader of ledger commits and their trailers (`spec/attestation` 1, 2), and the index and
chunk commits they imply (4).

The audit's own, written from the specification; admission has another. Whether values fit their
ledger is decided in `history.py`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from gitkv.model.oid import EMPTY_TREE, Oid
from gitkv.model.refs import parse_epoch, parse_namespace

COMMIT_BYTES_MAX = 65536
TIME_MAX_S = 253402300799

_PERSON = (
    rb"([^<>\x00-\x1f\x7f]{1,128}) <([!-;=?-~]{1,254})> ([1-9][0-9]{0,11}) "
    rb"[+-](?:0[0-9]|1[0-4])[0-5][0-9]"
)
_COMMIT = re.compile(
    rb"(tree ([0-9a-f]{40})\n(?:parent ([0-9a-f]{40})\n)?author ([^\n]+)\ncommitter ([^\n]+)\n)"
    rb"(?:gpgsig ([^\n]+(?:\n [^\n]*)*)\n)?(\n(.*))",
    re.DOTALL,
)
_SIGNED_BY = re.compile(_PERSON)
_ID = rb"[0-9a-f]{40}|-"
_COUNT = rb"0|[1-9][0-9]{0,17}"
_FIELDS = (
    ("KV-Version", rb"1"),
    ("KV-NS", rb"[a-z0-9._-]+"),
    ("KV-Txn", rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    ("KV-Seq", _COUNT),
    ("KV-Base", _ID),
    ("KV-Base-Tree", _ID),
    ("KV-Jump", _ID),
    ("KV-Index-Tree", rb"[0-9a-f]{40}"),
    ("KV-Chunks-Tree", _ID),
    ("KV-Epoch", rb"[A-Za-z0-9_-]+"),
    ("KV-Keys-Set", _COUNT),
    ("KV-Keys-Del", _COUNT),
)
_TRAILERS = re.compile(
    b"\n".join([name.encode() + b": (" + value + b")" for name, value in _FIELDS])
)


class Commit(NamedTuple):
    """A ledger commit as it stands. Ids are hex; `base`, `base_tree`, `jump`, `chunks_tree` may be
    `-`; `time_s` is the committer's.
    """

    tree: bytes
    parent: bytes | None
    time_s: int
    payload: bytes  # what the signature covers
    armour: bytes | None
    subject: bytes
    ns: bytes
    txn: bytes
    seq: int
    base: bytes
    base_tree: bytes
    jump: bytes
    index_tree: bytes
    chunks_tree: bytes
    epoch: bytes
    keys_set: int
    keys_del: int


def parse_commit(body: bytes) -> Commit:
    """Raises ValueError naming the broken clause."""
    if len(body) > COMMIT_BYTES_MAX:
        raise ValueError(f"1.4: {len(body)} bytes")
    match = _COMMIT.fullmatch(body)
    if match is None:
        raise ValueError(
            "1.1: headers other than tree, parent, author, committer, gpgsig, in this order"
        )
    head, tree, parent, author, committer, signature, tail, message = match.groups()
    fields = _parse_message(message)
    return Commit(
        tree=tree,
        parent=parent,
        time_s=_parse_people(author, committer),
        payload=head + tail,
        subject=message.partition(b"\n")[0],
        armour=None if signature is None else signature.replace(b"\n ", b"\n") + b"\n",
        ns=parse_namespace(fields[1]).encode(),
        txn=fields[2],
        seq=int(fields[3]),
        base=fields[4],
        base_tree=fields[5],
        jump=fields[6],
        index_tree=fields[7],
        chunks_tree=fields[8],
        epoch=parse_epoch(fields[9]).encode(),
        keys_set=int(fields[10]),
        keys_del=int(fields[11]),
    )


def _parse_people(author: bytes, committer: bytes) -> int:
    match = _SIGNED_BY.fullmatch(committer)
    if match is None or _has_controls(match[1], b""):
        raise ValueError(f"1.2: committer {committer[:120]!r}")
    if author != committer:
        raise ValueError("1.2: author and committer differ")
    if int(match[3]) > TIME_MAX_S:
        raise ValueError(f"1.2: time {int(match[3])}")
    return int(match[3])


def _parse_message(message: bytes) -> tuple[bytes, ...]:
    """The values of the trailers, in the order of 2.1."""
    if (
        _has_controls(message, b"\n\t")
        or "\u2028".encode() in message
        or "\u2029".encode() in message
    ):
        raise ValueError(
            "1.5: the message is not UTF-8 without control characters and line separators"
        )
    text, separator, block = message.rpartition(b"\n\n")
    if not separator or not block.endswith(b"\n"):
        raise ValueError("1.5: no trailer block, ended by one LF, as last paragraph")
    subject, separator, body = text.partition(b"\n\n")
    if not subject.strip(b"\t ") or b"\n" in subject or (separator and not body):
        raise ValueError("1.5: no subject line followed by an empty line")
    match = _TRAILERS.fullmatch(block[:-1])
    if match is None:
        raise ValueError("2.1: trailers other than those asked for, in their order")
    if any(line[:3].upper() in (b"KV-", b"---") for line in text.split(b"\n")):
        raise ValueError("2.2: a line starting with KV- or --- outside the trailer block")
    return match.groups()


def _has_controls(text: bytes, allowed: bytes) -> bool:
    """True also for what is not UTF-8."""
    try:
        chars = set(text.decode("utf-8"))
    except UnicodeDecodeError:
        return True
    return any(unicodedata.category(char) == "Cc" for char in chars.difference(allowed.decode()))


def index_commit(ledger: Oid, commit: Commit, index_parent: Oid | None) -> bytes:
    """The one index commit of 4.1."""
    return _derived(b"index", commit.index_tree, ledger, commit, index_parent)


def chunk_commit(ledger: Oid, commit: Commit, parent: Oid | None) -> bytes:
    """The one chunk commit of 4.3."""
    empty = EMPTY_TREE.hex().encode()
    tree = empty if commit.chunks_tree == b"-" else commit.chunks_tree
    return _derived(b"chunks", tree, ledger, commit, parent)


def _derived(what: bytes, tree: bytes, ledger: Oid, commit: Commit, before: Oid | None) -> bytes:
    person = b"git-kv <%b@git-kv.invalid> %d +0000" % (what, commit.time_s)
    parent = b"" if before is None else b"parent %b\n" % before.hex().encode()
    head = b"tree %b\n%bauthor %b\ncommitter %b\n" % (tree, parent, person, person)
    return head + b"\n%b of %b@%d\n\nKV-Version: 1\nKV-Ledger: %b\n" % (
        what,
        commit.ns,
        commit.seq,
        ledger.hex().encode(),
    )


def is_first_and_empty(commit: Commit) -> bool:
    """2.4 for sequence number 0."""
    empty = EMPTY_TREE.hex().encode()
    roots = (commit.tree, commit.index_tree, commit.chunks_tree)
    return (*roots, commit.keys_set, commit.keys_del) == (empty, empty, b"-", 0, 0)
