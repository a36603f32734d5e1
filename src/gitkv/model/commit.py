"""Commit objects in the one canonical form git-kv accepts (spec/attestation 1)."""

from __future__ import annotations

import re
from typing import NamedTuple

from gitkv.model.oid import COMMIT, OID_HEX, Oid, hash_object, parse_oid
from gitkv.model.refs import Namespace
from gitkv.model.verdict import INTEGRITY, POLICY, FormError, reason

COMMIT_BYTES_MAX = 64 << 10
SECONDS_MAX = 253402300799  # 9999-12-31T23:59:59Z
CLOCK_SKEW_MAX_S = 600

_HEADERS = re.compile(
    rb"tree ([0-9a-f]{40})\n((?:parent [0-9a-f]{40}\n)*)author ([^\n]*)\ncommitter ([^\n]*)\n"
    rb"(?:gpgsig ((?:[^\n]*\n)(?: [^\n]*\n)*))?\n"
)
_IDENTITY = re.compile(
    rb"([^<>\x00-\x1f\x7f]{1,128}) <([!-;=?-~]{1,254})> ([1-9][0-9]{0,11}) "
    rb"([+-](?:0[0-9]|1[0-4])[0-5][0-9])"
)


class Identity(NamedTuple):
    """Who and when, as a commit's author or committer line says it. `seconds` since 1970, `zone` as
    ±hhmm.
    """

    name: str
    email: str
    seconds: int
    zone: str = "+0000"

    def line(self) -> bytes:
        """The identity as it stands in a commit's header."""
        return f"{self.name} <{self.email}> {self.seconds} {self.zone}".encode()


class Commit(NamedTuple):
    """A parsed commit. `author` and `committer` are the raw lines; `armour` is the signature or
    empty; `payload` is what it signs.
    """

    tree: Oid
    parents: tuple[Oid, ...]
    author: bytes
    committer: bytes
    armour: bytes
    message: bytes
    payload: bytes

    def identity(self) -> Identity:
        """The committer, parsed. Raises FormError."""
        return parse_identity(self.committer)


def parse_commit(body: bytes) -> Commit:
    """Raises FormError when the object has any header, order or spelling that the canonical form
    has not (spec/attestation 1.1).
    """
    if len(body) > COMMIT_BYTES_MAX:
        raise FormError(
            reason(
                POLICY,
                "commit.size",
                "commit",
                f"at most {COMMIT_BYTES_MAX} bytes",
                f"{len(body)} bytes",
            )
        )
    match = _HEADERS.match(body)
    if match is None:
        raise FormError(
            reason(
                INTEGRITY,
                "commit.headers",
                "commit",
                "exactly tree, parents, author, committer, at most one gpgsig",
                _first_lines(body),
            )
        )
    tree, parents, author, committer, signature = match.groups()
    message = body[match.end() :]
    armour = signature.replace(b"\n ", b"\n") if signature else b""
    payload = body if not signature else body[: match.start(5) - len(b"gpgsig ")] + b"\n" + message
    parent_oids = tuple(parse_oid(line[7:]) for line in parents.split(b"\n") if line)
    return Commit(parse_oid(tree), parent_oids, author, committer, armour, message, payload)


def parse_identity(line: bytes) -> Identity:
    """Raises FormError unless the line is `Name <email> seconds ±hhmm` (spec/attestation 1.2)."""
    match = _IDENTITY.fullmatch(line)
    if match is None or int(match[3]) > SECONDS_MAX:
        raise FormError(
            reason(
                POLICY,
                "commit.identity",
                "committer",
                "Name <email> seconds +hhmm within the years 1970 to 9999",
                line,
            )
        )
    try:
        name = match[1].decode("utf-8")
    except UnicodeDecodeError:
        raise FormError(
            reason(POLICY, "commit.identity", "committer", "a name in UTF-8", line)
        ) from None
    if any("\x80" <= char <= "\x9f" for char in name):
        raise FormError(
            reason(
                POLICY, "commit.identity", "committer", "a name without control characters", line
            )
        )
    return Identity(name, match[2].decode("ascii"), int(match[3]), match[4].decode("ascii"))


def commit_payload(tree: Oid, parents: tuple[Oid, ...], identity: bytes, message: bytes) -> bytes:
    """An unsigned commit object whose author and committer are the same line."""
    parent_lines = b"".join([b"parent %b\n" % parent.hex().encode() for parent in parents])
    return b"tree %b\n%bauthor %b\ncommitter %b\n\n%b" % (
        tree.hex().encode(),
        parent_lines,
        identity,
        identity,
        message,
    )


def sign_payload(payload: bytes, armour: bytes) -> bytes:
    """The commit object with its signature header where git puts it: after the committer."""
    head, blank, message = payload.partition(b"\n\n")
    return b"%b\ngpgsig %b%b%b" % (
        head,
        armour.rstrip(b"\n").replace(b"\n", b"\n "),
        blank,
        message,
    )


class DerivedFacts(NamedTuple):
    """What an index or a chunk commit is derived from (spec/attestation 4.1, 4.3); `seconds` is the
    ledger commit's committer time.
    """

    ns: Namespace
    seq: int
    ledger: Oid
    seconds: int
    tree: Oid
    previous: Oid | None


def index_commit(facts: DerivedFacts) -> tuple[Oid, bytes]:
    """Id and bytes of the one index commit that belongs to a ledger commit."""
    return _derived_commit(b"index", facts)


def chunk_commit(facts: DerivedFacts) -> tuple[Oid, bytes]:
    """Id and bytes of the one chunk commit that belongs to a ledger commit which changes the chunk
    store.
    """
    return _derived_commit(b"chunks", facts)


def _derived_commit(what: bytes, facts: DerivedFacts) -> tuple[Oid, bytes]:
    identity = b"git-kv <%b@git-kv.invalid> %d +0000" % (what, facts.seconds)
    message = b"%b of %b@%d\n\nKV-Version: 1\nKV-Ledger: %b\n" % (
        what,
        facts.ns.encode(),
        facts.seq,
        facts.ledger.hex().encode(),
    )
    parents = () if facts.previous is None else (facts.previous,)
    body = commit_payload(facts.tree, parents, identity, message)
    return hash_object(COMMIT, body), body


def _first_lines(body: bytes) -> bytes:
    lines = body[:400].split(b"\n\n")[0].split(b"\n")
    return b" / ".join([line[: OID_HEX // 2] for line in lines[:8]])
