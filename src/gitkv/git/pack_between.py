"""The pack of what leads from some commits to others, for a client that has the former."""

from __future__ import annotations

from collections.abc import Sequence

from gitkv.git.process import Completed, Git, end_process, failure, scratch_file, scratch_text
from gitkv.model.oid import Oid


def pack_between(git: Git, haves: Sequence[Oid], wants: Sequence[Oid], bytes_max: int) -> bytes:
    """A thin pack of all that `wants` lead to and `haves` do not; b"" when that takes more than
    `bytes_max`. All of them are here. Raises ToolError.
    """
    lines = [*(oid.hex() for oid in wants), *(f"^{oid.hex()}" for oid in haves)]
    with scratch_file() as words:
        child = git.popen(
            "pack-objects", "--revs", "--thin", "--delta-base-offset", "--stdout", "-q",
            "--threads=1", stderr=words,
        )  # fmt: skip
        try:
            assert child.stdin is not None and child.stdout is not None
            child.stdin.write("".join(f"{line}\n" for line in lines).encode())
            child.stdin.close()
            pack = child.stdout.read(bytes_max + 1)
            if len(pack) > bytes_max:
                return b""
            if child.wait() != 0:
                raise failure("pack-objects", Completed(b"", scratch_text(words), child.returncode))
        finally:
            end_process(child)
    return pack
