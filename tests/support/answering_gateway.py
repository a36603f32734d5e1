"""A Stargate's receiving side in small, run by a fake ssh: it takes whatever is pushed, and answers
with a receipt that is right, or wrong in the way that it is told to be.

`python answering_gateway.py REPO HOW`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from support.small_gateway import LOG, SmallGateway

from gitkv.gateway.watchlog import Entry, write_entry
from gitkv.ledger.seek import read_ledger_commit
from gitkv.model.heads import Heads
from gitkv.model.oid import Oid, parse_oid
from gitkv.model.refs import EpochLabel, Namespace, Ref
from gitkv.sign.gateway_key import Ed25519Signer, generate
from gitkv.wire import receive_pack as server
from gitkv.wire.answer_lines import Receipt, receipt_line
from gitkv.wire.pkt_line import NEED_DATA
from gitkv.wire.side_band import progress

OTHER = Oid(b"\x11" * 20)
WRONG_ENTRIES = {
    "ns": {"ns": Namespace("other")},
    "epoch": {"epoch": EpochLabel("e2")},
    "seq": {"seq": 7},
    "txn": {"txn": "01890000-0000-7000-8000-000000000000"},
    "ledger": {"heads": 0},
    "index": {"heads": 1},
    "policy": {"policy": OTHER},
}
WRONG = (*WRONG_ENTRIES, "before", "key", "unsigned", "torn", "answer-seq", "answer-ledger", "none")


def main(repo: Path, how: str) -> None:
    gateway = SmallGateway(repo)
    refs = _refs(repo)
    _say(server.advertisement(refs))
    proposed = _read_commands()
    if not proposed.commands:
        return
    _git(repo, "index-pack", "--stdin", "--fix-thin")
    heads = Heads(proposed.commands[0].new, proposed.commands[1].new)
    receipt = _receipt(gateway, heads, refs[Ref(LOG.encode())], how)
    if how == "right":
        _git(repo, "hash-object", "-w", "-t", "commit", "--stdin", stdin=receipt.entry)
        for ref, oid in (
            *((c.ref.decode(), c.new) for c in proposed.commands),
            (LOG, receipt.watchlog),
        ):
            _git(repo, "update-ref", ref, oid.hex())
    if how != "none":
        _say(progress(receipt_line(receipt) + b"\n"))
    _say(server.report(b"ok", [(c.ref, None) for c in proposed.commands], sideband=True))


def _receipt(gateway: SmallGateway, heads: Heads, before: Oid, how: str) -> Receipt:
    said = read_ledger_commit(heads.ledger, gateway.load).attestation
    entry = Entry(said.ns, said.epoch, said.seq, said.txn, heads, gateway.oid("refs/heads/main"))
    for name, value in WRONG_ENTRIES.get(how, {}).items():
        if name == "heads":
            value = Heads(*(OTHER if at == value else oid for at, oid in enumerate(heads)))
        entry = entry._replace(**{name: value})
    signer = Ed25519Signer(generate()[0]) if how == "key" else gateway.signer
    oid, body = write_entry(entry, OTHER if how == "before" else before, int(time.time()), signer)
    if how == "unsigned":
        head, _, rest = body.partition(b"gpgsig ")
        body = head + rest[rest.index(b"\n\n") + 1 :]
    if how == "torn":
        body = body[:-9]
    seq = 9 if how == "answer-seq" else said.seq
    return Receipt(seq, OTHER if how == "answer-ledger" else heads.ledger, oid, body)


def _read_commands() -> server.ProposedCommands:
    """Byte by byte, so that the pack stays for index-pack."""
    reader = server.CommandReader()
    while byte := os.read(0, 1):
        proposed = reader.feed(byte)
        if proposed is not NEED_DATA:
            return proposed
    reader.finish()
    raise AssertionError("unreachable: finish() raises")


def _refs(repo: Path) -> dict[Ref, Oid]:
    shown = _git(repo, "for-each-ref", "--format=%(objectname) %(refname)")
    pairs = [line.split(b" ") for line in shown.split(b"\n") if line]
    return {Ref(ref): parse_oid(oid) for oid, ref in pairs}


def _git(repo: Path, *words: str, stdin: bytes | None = None) -> bytes:
    return subprocess.run(
        ["git", *words], cwd=repo, check=True, input=stdin, stdout=subprocess.PIPE
    ).stdout


def _say(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
