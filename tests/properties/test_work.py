"""Reading what comes from outside costs what it is long, however hostile it is.

Two proofs make one. `tests/house/test_linear_patterns.py` shows that no regular expression of ours
is ever worse than linear in its subject. Here the code around them is held to the same: each parser
reads hostile texts of growing length, and what is compared is work as counted by `support.work`
(instructions executed, bytes gone through), never seconds. A parser that looks at everything again
for each line, splits off one head after another, or joins what it has so far, fails here.

The texts: a good one in which a piece, of itself or of a list of awkward ones, is repeated many
times at some place. That keeps them close to what the parser takes, so that they get far into it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.policy_texts import FULL
from support.work import work_of

from gitkv.audit import commit as audit_commit
from gitkv.audit import lines as audit_lines
from gitkv.audit import node as audit_node
from gitkv.audit.lfs import is_lfs_pointer
from gitkv.errors import GitKvError
from gitkv.gateway.watchlog import parse_entry
from gitkv.git.packed_refs import parse_packed_refs
from gitkv.git.process import complaint
from gitkv.git.transport import parse_push_report
from gitkv.git.urls import redact
from gitkv.ledger import index_line, node
from gitkv.model import key, public_key
from gitkv.model.attestation import parse_message
from gitkv.model.commit import parse_commit
from gitkv.model.gateway_act import parse_gateway_act
from gitkv.model.oid import COMMIT, TREE, ZERO_OID
from gitkv.model.verdict import printable
from gitkv.policy.text import parse_policy
from gitkv.policy.tree import policy_text
from gitkv.sign import openpgp, sshsig
from gitkv.wire import answer_lines
from gitkv.wire.batch import read_batch
from gitkv.wire.pkt_line import FLUSH_PKT, pkt
from gitkv.wire.push_grammar import classify
from gitkv.wire.receive_pack import CommandReader, ProposedCommands
from gitkv.wire.send_pack import AdvertisementReader, AnswerReader

SHORT, LONG = 1500, 6000  # bytes put in; four times as many may cost little more than four times
RATIO_MAX = 6
START_MAX = 20_000  # what a call may cost before it looks at any byte of its text

OID = b"ab" * 20
PERSON = b"Bob <bob@example.com> 1700000000 +0000"
MESSAGE = (
    b"a subject\n\na body\n\nKV-Version: 1\nKV-NS: main\nKV-Txn: 01890000-0000-7000-8000-"
    b"000000000000\nKV-Seq: 1\nKV-Base: %b\nKV-Base-Tree: %b\nKV-Jump: %b\nKV-Index-Tree: %b\n"
    b"KV-Chunks-Tree: -\nKV-Epoch: e1\nKV-Keys-Set: 1\nKV-Keys-Del: 0\n" % (OID, OID, OID, OID)
)
HEAD = b"tree %b\nparent %b\nauthor %b\ncommitter %b\n" % (OID, OID, PERSON, PERSON)
VECTORS = Path(__file__).parents[1] / "vectors" / "signatures"
SSH_SIGNATURE = (VECTORS / "ssh-ed25519.sig").read_bytes()
SIGNED = HEAD + b"gpgsig " + SSH_SIGNATURE.rstrip(b"\n").replace(b"\n", b"\n ") + b"\n\n" + MESSAGE
ENTRY = (
    HEAD + b"\naccept main@1\n\nKV-Version: 1\nKV-NS: main\nKV-Epoch: e1\nKV-Seq: 1\n"
    b"KV-Txn: 01890000-0000-7000-8000-000000000000\nKV-Ledger: %b\nKV-Index: %b\n"
    b"KV-Chunks: -\nKV-Policy: %b\n" % (OID, OID, OID)
)
LIVE = b'{"created":1,"ctype":"a/b","key":"cfg:a","mod":9,"oid":"%b","size":1,"versions":2}\n' % OID
LEAF = b"100644 cfg:a\0" + bytes(20) + b"100644 cfg:b\0" + bytes(20)
INNER = LEAF.replace(b"\0" + bytes(20), b"!\0" + bytes(20))


def _read_policy_of(tree: bytes) -> None:
    objects = {COMMIT: HEAD + b"\npolicy\n", TREE: tree}
    policy_text(ZERO_OID, lambda oid, kind: objects[kind])


def _push(data: bytes) -> None:
    found = CommandReader().feed(data)
    if isinstance(found, ProposedCommands):
        classify(found)


def _in_crumbs(feed: Callable[[bytes], object], data: bytes) -> None:
    for at in range(0, len(data), 7):
        feed(data[at : at + 7])


def _batch(data: bytes) -> None:
    read_batch([line + b"\n" for line in data.split(b"\n")], "batch", 0, str.encode)


def _text(function: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: function(data.decode("utf-8", "replace"))


ADVERTISED = pkt(OID + b" refs/kv/main\0atomic report-status\n") + pkt(OID + b" refs/kv/x\n")
COMMANDS = pkt(b"%b %b refs/kv/main\0report-status atomic" % (OID, OID)) + pkt(
    b"%b %b refs/kv-index/main" % (OID, OID)
)
REPORT = pkt(b"\2remote: hello\n") + pkt(b"\1" + pkt(b"unpack ok\n") + pkt(b"ok refs/kv/main\n"))

PARSERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "commit": (parse_commit, SIGNED),
    "message": (parse_message, MESSAGE),
    "commit, by the audit": (audit_commit.parse_commit, SIGNED),
    "watchlog entry": (parse_entry, ENTRY),
    "act of the gateway": (parse_gateway_act, b"apply main@1 of bob again"),
    "policy": (parse_policy, FULL.encode()),
    "tree of the policy": (
        _read_policy_of,
        b"40000 .kv\0" + bytes(20) + b"100644 a b\0" + bytes(20),
    ),
    "key": (_text(key.encode_key), "cfg:ä".encode()),
    "name": (key.is_name, b"cfg:%C3%A4.x"),
    "name, by the audit": (audit_lines.is_key_name, b"cfg:%C3%A4.x"),
    "leaf": (node.decode_entries, LEAF),
    "inner node": (lambda body: node.decode_inner(body, points_to_pages=True), INNER),
    "leaf, by the audit": (lambda body: audit_node.parse_node(body, audit_node.TO_BLOBS, ""), LEAF),
    "inner node, by the audit": (
        lambda body: audit_node.parse_node(body, audit_node.TO_PAGES, ""),
        INNER,
    ),
    "page": (index_line.LIVE_LEAVES.decode, LIVE),
    "live line": (index_line.parse_live, LIVE),
    "gone line": (index_line.parse_gone, b'{"key":"cfg:b","mod":9}\n'),
    "metadata": (index_line.parse_meta, b'{"ctype":"a/b","expires":9}'),
    "page, by the audit": (lambda body: audit_lines.parse_page(body, "live"), LIVE),
    "live line, by the audit": (audit_lines.parse_live, LIVE.rstrip(b"\n")),
    "metadata, by the audit": (audit_lines.parse_meta, b'{"ctype":"a/b","expires":9}'),
    "LFS pointer": (is_lfs_pointer, b"\n version https://git-lfs.github.com/spec/v1\n"),
    "SSH key": (public_key.parse_ssh_key, (VECTORS / "ssh-rsa.pub").read_bytes()),
    "OpenPGP key": (public_key.parse_openpgp_key, (VECTORS / "openpgp-rsa.asc").read_bytes()),
    "SSH signature": (sshsig.parse, SSH_SIGNATURE),
    "OpenPGP signature": (openpgp.parse, (VECTORS / "openpgp-rsa.sig").read_bytes()),
    "answer line": (answer_lines.parse_line, b"kv-reason 3 a.b where expected%20x got -"),
    "advertisement": (AdvertisementReader().feed, ADVERTISED + FLUSH_PKT),
    "push commands": (_push, COMMANDS + FLUSH_PKT),
    "push commands in crumbs": (lambda data: _in_crumbs(CommandReader().feed, data), COMMANDS),
    "answer in crumbs": (lambda data: _in_crumbs(AnswerReader(True).feed, data), REPORT),
    "packed refs": (
        parse_packed_refs,
        b"# pack-refs with: peeled fully-peeled sorted \n" + OID + b" refs/kv/main\n",
    ),
    "push report": (parse_push_report, b"!\trefs/a:refs/b\t[rejected] (why)\n"),
    "complaint": (complaint, b"remote: x\r\nfatal: https://bob:secret@host/x\n"),
    "address": (_text(redact), b"https://bob:secret@host/x or ssh://git@host/y"),
    "words of others": (printable, b"\xff\x1b[31m hello \xc3\xa4"),
    "batch of one object": (_batch, b'{"op":"del","key":"c","a":1,"a":2}'),
    "batch": (_batch, b'{"op":"set","key":"a","value":"b"}\n{"op":"del","key":"c"}'),
}
PIECES = (
    *(b"a", b"\n", b"\n\n", b" ", b"\t", b"\0", b"0", b"=", b"%C3%A4", b"%", b"[", b"- ", b"{a: "),
    *(
        b'"',
        b"'",
        b"#",
        b":",
        b"@",
        b"://",
        b"://@",
        b"\n ",
        b"\\",
        b"\r",
        b"\xff",
        b"a\n",
        b"A" * 64,
    ),
    *(b"100644 ", b"100644 a!\0", b"40000 ", b"KV-", b"---", b"gpgsig ", b"parent ", b"0004"),
    *(b"0005a", b"0006\2a", b"\2", b"a0", b"- a\n", b"a: 1\n", b"<", b">", b"'a'", b"!\ta:b\tc\n"),
    *(
        "é".encode(),
        "́".encode(),
        "ẹ̈".encode(),
        b"\xc2\x85",
        b'{"a":',
        b'"a":1,',
        b"{}",
        b"[[",
        b"]",
    ),
)


def _grown(sample: bytes, cut: int, piece: bytes, size: int) -> bytes:
    return sample[:cut] + piece * (size // len(piece)) + sample[cut:]


def _work(parse: Callable[[bytes], object], text: bytes) -> int:
    def call() -> None:
        with suppress(ValueError, GitKvError, audit_node.MalformedError):
            parse(text)

    return work_of(call)


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=40)
@given(data=st.data())
def test_a_text_four_times_as_long_costs_little_more_than_four_times(
    name: str, data: st.DataObject
) -> None:
    parse, sample = PARSERS[name]
    cut = data.draw(st.integers(0, len(sample)))
    own = st.integers(1, 40).map(lambda size: sample[cut : cut + size] or b"a")
    piece = data.draw(st.sampled_from(PIECES) | own)
    # Several short ones: base64 comes in groups of four characters, so one may be refused early.
    short = max(_work(parse, _grown(sample, cut, piece, SHORT + n * len(piece))) for n in range(4))
    long = _work(parse, _grown(sample, cut, piece, LONG))
    assert long <= RATIO_MAX * short + START_MAX, (short, long)


def test_the_count_tells_a_quadratic_reader_from_a_linear_one() -> None:
    def linear(text: bytes) -> None:
        for line in text.split(b"\n"):
            line.strip()

    def heads(text: bytes) -> None:
        while text:
            _, _, text = text.partition(b"\n")

    def again(text: bytes) -> None:
        for line in text.split(b"\n"):
            text.count(line)

    def repeats(text: bytes) -> None:
        lines = text.split(b"\n")
        for line in lines:
            lines.count(line)

    def ratio(read: Callable[[bytes], None]) -> float:
        return work_of(lambda: read(b"a\n" * 4000)) / work_of(lambda: read(b"a\n" * 1000))

    assert ratio(linear) < RATIO_MAX
    assert min(ratio(heads), ratio(again), ratio(repeats)) > RATIO_MAX
