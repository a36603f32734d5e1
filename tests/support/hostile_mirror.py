"""A mirror that answers every fetch with the pack it was given, whatever that is, and says what it
likes of its refs.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from support.bomb_packs import COMMIT, TREE
from support.forge import entry, pack_of_entries

from gitkv.git.process import Git
from gitkv.model.oid import Oid

_PERSON = b"M <m@example.com> 1700000000 +0000"
_TREE = hashlib.sha1(b"tree 0\0").hexdigest()
_COMMIT = b"tree %b\nauthor %b\ncommitter %b\n\nm\n" % (_TREE.encode(), _PERSON, _PERSON)
TIP = Oid(hashlib.sha1(b"commit %d\0" % len(_COMMIT) + _COMMIT).digest())

# Protocol 0, which a server may answer with whatever it is asked for (gitprotocol-pack(5))
_SERVER = """\
#!{python} -IS
import sys, time
out = sys.stdout.buffer
def pkt(data):
    out.write(b"%04x" % (len(data) + 4) + data)
pkt(b"{tip} refs/kv/main\\0side-band-64k ofs-delta no-progress shallow\\n")
out.write(b"0000")
out.flush()
while True:
    size = int(sys.stdin.buffer.read(4) or b"0004", 16)
    line = sys.stdin.buffer.read(size - 4) if size else b""
    if size == 4:
        sys.exit(0)
    if line == b"done\\n":
        break
pkt(b"NAK\\n")
pack = open({pack!r}, "rb").read()
for at in range(0, len(pack), 60000):
    pkt(b"\\x01" + pack[at : at + 60000])
    out.flush()
    time.sleep({pause_s})
{end}
"""
_END = 'out.write(b"0000")\nout.flush()'
_SILENCE = "sys.stdin.buffer.read()"


class HostileMirror:
    """The remote `evil` of a clone; its one ref is refs/kv/main, at TIP."""

    def __init__(self, clone: Git, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        clone.run("config", "remote.evil.url", str(folder))
        clone.run("config", "remote.evil.uploadpack", str(folder / "upload-pack"))

    def sends(self, entries: Sequence[bytes]) -> None:
        """A pack of the tip and of these entries."""
        tip = [entry(COMMIT, _COMMIT), entry(TREE, b"")]
        self.sends_bytes(pack_of_entries([*tip, *entries]))

    def sends_bytes(self, pack: bytes, *, pause_s: float = 0, falls_silent: bool = False) -> None:
        """These bytes in pieces of 60,000, with a pause after each; then the end, or nothing more
        on an open line.
        """
        (self._folder / "it.pack").write_bytes(pack)
        script = self._folder / "upload-pack"
        script.write_text(
            _SERVER.format(
                python=sys.executable,
                tip=TIP.hex(),
                pack=os.fspath(self._folder / "it.pack"),
                pause_s=pause_s,
                end=_SILENCE if falls_silent else _END,
            )
        )
        script.chmod(0o755)
