"""A ledger commit has two readers, admission's and the audit's, written apart. They agree on every
commit: what one lets in, the other must be able to read for ever, and neither is laxer.
"""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from gitkv.audit import commit as audit_commit
from gitkv.model.attestation import Attestation, parse_message
from gitkv.model.commit import parse_commit
from gitkv.model.oid import EMPTY_TREE, Oid
from gitkv.model.refs import EpochLabel, Namespace

_BASE = Oid(b"\x11" * 20)
_SAID = Attestation(
    Namespace("main"),
    "01890000-0000-7000-8000-000000000000",
    1,
    _BASE,
    _BASE,
    _BASE,
    EMPTY_TREE,
    EpochLabel("e1"),
    1,
    0,
)
_PIECES = st.sampled_from(
    [
        b"a",
        b"\n",
        b"\n\n",
        b" ",
        b"\n \n",
        b"\n\n\n",
        b"\t",
        b"\r",
        b"KV-x",
        b"kv-",
        b"---",
        b": ",
        b"\x7f",
        b"\xff",
        "é\x85\u2028".encode(),
        "é".encode(),
    ]
)


def _texts(pieces: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(pieces, max_size=8).map(b"".join)


def _is_taken(body: bytes) -> bool:
    try:
        commit = parse_commit(body)
        commit.identity()
        parse_message(commit.message)
    except ValueError:
        return False
    return commit.author == commit.committer and len(commit.parents) == 1


def _read_by_audit(body: bytes) -> audit_commit.Commit | None:
    try:
        return audit_commit.parse_commit(body)
    except ValueError:
        return None


@given(_texts(_PIECES), st.just(b"Bob") | _texts(_PIECES))
@example(b"a subject\nof two lines", b"Bob")
@example(b"a subject\n\n", b"Bob")
@example(b"a" * 50_000 + b"\na", b"Bob")
@example(b" \t ", b"Bob")
@example(b"a subject\n\n \n\t", b"Bob")
@example(b"\na subject", b"Bob")
def test_both_readers_read_the_same_commits(text: bytes, name: bytes) -> None:
    person = name + b" <bob@example.com> 1700000000 +0000"
    oid = _BASE.hex().encode()
    head = b"tree %b\nparent %b\nauthor %b\ncommitter %b\n" % (oid, oid, person, person)
    body = head + b"\n" + text + b"\n\n" + _SAID.trailers()
    read = _read_by_audit(body)
    assert (read is not None) == _is_taken(body)
    if read is not None:
        assert (read.payload, read.time_s, read.seq) == (parse_commit(body).payload, 1700000000, 1)
