"""The text of git's `packed-refs` file: strict in both directions, without I/O.

Source: git's files backend; the header promises `peeled fully-peeled sorted`. Left to others: the
file itself (`ref_store.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gitkv.errors import IntegrityError
from gitkv.model.oid import Oid
from gitkv.model.refs import Ref

HEADER = b"# pack-refs with: peeled fully-peeled sorted \n"

_HEADER = re.compile(rb"# pack-refs with:(?: [a-z-]+)* ?")
_LINE = re.compile(rb"([0-9a-f]{40}) ([^\n]+)")
_PEELED = re.compile(rb"\^[0-9a-f]{40}")
# git-check-ref-format(1), rules 1 to 9: no component starts with a dot or ends with .lock; none of
# the forbidden bytes.
_REF = re.compile(rb"refs(?:/(?!\.)[^\x00-\x20\x7f~^:?*\[\\/]+(?<!\.lock))+(?<!\.)")


def is_ref(name: bytes) -> bool:
    """Whether git would keep `name` as a ref below refs/."""
    return _REF.fullmatch(name) is not None and b".." not in name and b"@{" not in name


def parse_packed_refs(text: bytes) -> dict[Ref, Oid]:
    """Every ref of the file. Raises IntegrityError when it is empty, torn, unsorted, or has a line
    that git would not write.
    """
    if not text.endswith(b"\n"):
        raise IntegrityError(
            "packed-refs is empty or torn: expected a line break at its end",
            hint="restore it from a backup",
        )
    lines = text[:-1].split(b"\n")
    if _HEADER.fullmatch(lines[0]) is None:
        raise IntegrityError(f"packed-refs: expected its header in line 1, got {lines[0][:80]!r}")
    refs: dict[Ref, Oid] = {}
    last = b""
    for number, line in enumerate(lines[1:], 2):
        if last and _PEELED.fullmatch(line) is not None:
            continue
        found = _LINE.fullmatch(line)
        if found is None or not is_ref(found[2]) or found[2] <= last:
            raise IntegrityError(
                f"packed-refs: line {number} is torn or out of order: {line[:80]!r}"
            )
        last = found[2]
        refs[Ref(last)] = Oid(bytes.fromhex(found[1].decode()))
    return refs


def format_packed_refs(refs: Mapping[Ref, Oid]) -> bytes:
    """The file for `refs`, which all name commits (nothing to peel). Raises ValueError for a name
    that git would not keep.
    """
    for ref in refs:
        if not is_ref(ref):
            raise ValueError(f"not a ref name: {ref[:80]!r}")
    return HEADER + b"".join([b"%b %b\n" % (refs[ref].hex().encode(), ref) for ref in sorted(refs)])
