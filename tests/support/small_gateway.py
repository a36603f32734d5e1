"""A gateway in small: a bare repository with a policy, an empty ledger and its receipt, and a hook
that signs a receipt for whatever stock git takes in. It judges nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from support.forge import Objects, emitter, pack_of

from gitkv.gateway.watchlog import Entry, entry_of, write_entry
from gitkv.ledger.compose import Stamp, compose_first
from gitkv.ledger.seek import read_ledger_commit
from gitkv.ledger.uuid7 import uuid7
from gitkv.model.commit import Identity, commit_payload, sign_payload
from gitkv.model.heads import Heads
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.public_key import parse_ssh_key
from gitkv.model.refs import EpochLabel, Namespace
from gitkv.ports import Signer
from gitkv.sign.gateway_key import Ed25519Signer, generate

LOG = "refs/kv-watchlog/main@e1"
START_S = 1_700_000_000
_KEY = "gateway_key"
_HOOK = """\
#!/bin/sh
PYTHONPATH={path} exec {python} {script}
"""


def policy_commit(
    text: bytes, signer: Signer | None, emit: object, parents: Sequence[Oid] = (), now_s: int = 0
) -> Oid:
    """A policy commit; None leaves it unsigned."""
    assert callable(emit)
    folder = emit(b"tree", b"100644 policy.yaml\0" + emit(b"blob", text))
    tree = emit(b"tree", b"40000 .kv\0" + folder)
    who = Identity("Policy Author", "policy@example.com", now_s or START_S)
    payload = commit_payload(tree, tuple(parents), who.line(), b"policy: change\n")
    return emit(COMMIT, sign_payload(payload, signer.sign(payload)) if signer else payload)


class SmallGateway:
    """`path` is the bare repository; its key lies in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def signer(self) -> Ed25519Signer:
        return Ed25519Signer((self.path / _KEY).read_bytes())

    @property
    def public_line(self) -> str:
        return self.signer.public_line.decode().strip()

    @property
    def fingerprint(self) -> str:
        return parse_ssh_key(self.public_line.encode()).fingerprint

    def found(self, policy_of: object) -> None:
        """Makes everything. `policy_of(gateway key line)` is the text of the first policy."""
        assert callable(policy_of)
        self._git("init", "--quiet", "--bare", str(self.path), cwd=self.path.parent)
        private, public = generate()
        (self.path / _KEY).write_bytes(private)
        hook = self.path / "hooks" / "post-receive"
        hook.parent.mkdir(exist_ok=True)
        path = ":".join(entry for entry in sys.path if entry)
        hook.write_text(_HOOK.format(path=path, python=sys.executable, script=__file__))
        hook.chmod(0o755)
        objects: Objects = {}
        emit = emitter(objects)
        policy = policy_commit(policy_of(public.decode().strip()), self.signer, emit)
        stamp = Stamp(
            Identity("Stargate", "stargate@git-kv.invalid", START_S),
            uuid7(START_S * 1000, os.urandom(10)),
            "begin main",
        )
        first = compose_first(Namespace("main"), EpochLabel("e1"), stamp, self.signer.sign, emit)
        _, body = write_entry(entry_of(first.tip, policy), None, START_S, self.signer)
        entry = emit(COMMIT, body)
        self.add(objects)
        for ref, oid in (
            ("refs/heads/main", policy),
            ("refs/kv/main", first.tip.ledger.oid),
            ("refs/kv-index/main", first.tip.index_oid),
            (LOG, entry),
        ):
            self._git("update-ref", ref, oid.hex())

    def add(self, objects: Objects) -> None:
        self._git("unpack-objects", "-q", stdin=pack_of(objects.values()))

    def change_policy(self, text: bytes, signer: Signer | None) -> str:
        """A policy commit on top of the one there is."""
        objects: Objects = {}
        oid = policy_commit(text, signer, emitter(objects), [self.oid("refs/heads/main")])
        self.add(objects)
        self._git("update-ref", "refs/heads/main", oid.hex())
        return oid.hex()

    def sign_receipts(self) -> None:
        """One receipt for each ledger commit that has none."""
        ledger = self._line("refs/kv/main")
        index, log = self._line("refs/kv-index/main"), self._line(LOG)
        for seq in range(len(log), len(ledger)):
            log.append(self.sign_receipt(ledger[seq], index[seq], log[-1]))
            self._git("update-ref", LOG, log[-1].hex())

    def sign_receipt(self, ledger: Oid, index: Oid, previous: Oid) -> Oid:
        said = read_ledger_commit(ledger, self.load).attestation
        policy = self.oid("refs/heads/main")
        entry = Entry(said.ns, said.epoch, said.seq, said.txn, Heads(ledger, index), policy)
        oid, body = write_entry(entry, previous, int(time.time()), self.signer)
        self._git("hash-object", "-w", "-t", "commit", "--stdin", stdin=body)
        return oid

    def load(self, oid: Oid, kind: bytes) -> bytes:
        """A Load of the rules."""
        return self._git("cat-file", kind.decode(), oid.hex())

    def _line(self, ref: str) -> list[Oid]:
        listed = self._git("rev-list", "--reverse", ref).split()
        return [Oid(bytes.fromhex(line.decode())) for line in listed]

    def oid(self, name: str) -> Oid:
        """What a ref names."""
        return Oid(bytes.fromhex(self._git("rev-parse", name).decode().strip()))

    def _git(self, *words: str, stdin: bytes = b"", cwd: Path | None = None) -> bytes:
        done = subprocess.run(
            ["git", *words], cwd=cwd or self.path, input=stdin, check=True, capture_output=True
        )
        return done.stdout


if __name__ == "__main__":
    SmallGateway(Path(os.environ.get("GIT_DIR", ".")).resolve()).sign_receipts()
