"""A receive-pack made of `gitkv.wire` for stock git to push to, on standard input and output:
`python stock_push_server.py MODE REPO`.

MODE `judge` answers as the grammar says and keeps what it accepts; `lost` dies after the pack;
`standby` refuses before any ref is shown. What it read is left in REPO/seen for the test to look
at. The commands are read byte by byte, so that the pack stays for index-pack.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gitkv.model.oid import Oid, parse_oid
from gitkv.model.refs import Namespace, Ref
from gitkv.model.verdict import Verdict
from gitkv.wire import receive_pack as server
from gitkv.wire import side_band
from gitkv.wire.answer_lines import Receipt, accepted, refused
from gitkv.wire.pkt_line import NEED_DATA
from gitkv.wire.push_grammar import classify


def main(mode: str, repo: Path) -> None:
    if mode == "standby":
        say(server.refusal("not leader: ask the other one"))
        return
    say(server.advertisement(refs_of(repo)))
    proposed = read_commands()
    (repo / "seen").write_text(repr(proposed))
    if not proposed.commands:
        return
    if proposed.pack_follows:
        git(repo, "index-pack", "--stdin", "--fix-thin")
    if mode == "lost":
        say(side_band.fatal(b"the disk is gone"))
        return
    answer(repo, proposed)


def answer(repo: Path, proposed: server.ProposedCommands) -> None:
    machine = server.KV_REPORT in proposed.capabilities
    found = classify(proposed)
    why = None
    if isinstance(found, Verdict):
        why = found.reasons[0].text().encode()
        say(side_band.progress(refused(found, machine)))
    else:
        for command in proposed.commands:
            git(repo, "update-ref", command.ref.decode(), command.new.hex(), command.old.hex())
        say(
            side_band.progress(
                accepted(
                    Namespace("main"),
                    Receipt(12, proposed.commands[0].new, Oid(bytes(20)), b"entry"),
                    machine,
                )
            )
        )
    say(server.report(b"ok", [(command.ref, why) for command in proposed.commands], sideband=True))


def read_commands() -> server.ProposedCommands:
    reader = server.CommandReader()
    while byte := os.read(0, 1):
        proposed = reader.feed(byte)
        if proposed is not NEED_DATA:
            return proposed
    reader.finish()
    raise AssertionError("unreachable: finish() raises")


def refs_of(repo: Path) -> dict[Ref, Oid]:
    shown = subprocess.run(
        ["git", "for-each-ref", "--format=%(objectname) %(refname)"],
        cwd=repo,
        check=True,
        capture_output=True,
    ).stdout
    pairs = [line.split(b" ") for line in shown.split(b"\n") if line]
    return {Ref(ref): parse_oid(oid) for oid, ref in pairs}


def git(repo: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=repo, check=True, stdout=subprocess.DEVNULL)


def say(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
