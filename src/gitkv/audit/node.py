"""One node of an ordered tree as the audit reads it: Git tree entries of one spelling
(`spec/format` 3.4, 3.5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from gitkv.audit.lines import ASCII_NAME, ASCII_NAME_BYTES_MAX, is_key_name
from gitkv.model.oid import Oid
from gitkv.model.verdict import KEY, POLICY, Reason, reason

Items = list[tuple[bytes, bytes]]


class MalformedError(Exception):
    """Ends the reading of a map that cannot be read on; `reason` says why. Never leaves the
    audit.
    """

    def __init__(self, found: Reason) -> None:
        super().__init__(found.text())
        self.reason = found


def malformed(code: int, rule: str, where: str, expected: str, got: str | bytes) -> MalformedError:
    """The error for one broken rule."""
    return MalformedError(reason(code, rule, where, expected, got))


class Form(NamedTuple):
    """How the entries of one sort of tree node are spelled (3.4, 3.5)."""

    mode: bytes
    suffix: bytes
    pattern: re.Pattern[bytes]
    entry_bytes: int  # of an entry without its name


def _form(mode: bytes, suffix: bytes) -> Form:
    pattern = re.compile(mode + b" (" + ASCII_NAME + b")" + suffix + rb"\x00(.{20})", re.DOTALL)
    return Form(mode, suffix, pattern, len(mode) + len(suffix) + 22)


TO_TREES, TO_PAGES, TO_BLOBS, TO_VALUES = (
    _form(b"40000", b"!"),
    _form(b"100644", b"!"),
    _form(b"100644", b""),
    _form(b"40000", b""),
)
TREE_ENTRY = re.compile(rb"([^ \x00]{1,8}) ([^\x00]+)\x00(.{20})", re.DOTALL)


class Root(NamedTuple):
    """One map: "data", "manifests", "meta", "live", "gone" or "chunks", and its root, None when
    empty.
    """

    map_name: str
    oid: Oid | None

    @property
    def of_lines(self) -> bool:
        """Whether the leaves of this map are pages of lines, not blobs of values."""
        return self.map_name in ("live", "gone")

    def is_lowest(self, mode: bytes, name: bytes) -> bool:
        """Whether an entry like this, the first of a tree, says that no tree of the map is below
        it.
        """
        return mode != b"40000" or (self.map_name == "chunks" and not name.endswith(b"!"))

    def form(self, level: int) -> Form:
        """What the entries of a node on this level point to; level 0 is the lowest."""
        if level == 0:
            return TO_VALUES if self.map_name == "chunks" else TO_BLOBS
        return TO_PAGES if self.of_lines and level == 1 else TO_TREES


def parse_node(body: bytes, form: Form, where: str) -> Items:
    """Names and payloads (object ids) of a node. Raises MalformedError."""
    found: Items = form.pattern.findall(body)
    lengths = [len(name) for name, _ in found]
    # findall skips what does not match: only entries that cover the body to the last byte are the
    # node
    if (
        found
        and sum(lengths) + form.entry_bytes * len(found) == len(body)
        and max(lengths) <= ASCII_NAME_BYTES_MAX
    ):
        return found
    items: Items = []
    for mode, name, oid in tree_entries(body, where):
        if (
            mode != form.mode
            or not name.endswith(form.suffix)
            or (name.lower().startswith(b".git"))
        ):
            raise malformed(
                POLICY,
                "tree.entry",
                where,
                f"entries {form.mode.decode()} <name>{form.suffix.decode()}",
                mode + b" " + name,
            )
        if not is_key_name(name.removesuffix(form.suffix)):
            raise malformed(KEY, "key.name", where, "the name of a key (spec/format 1.2)", name)
        items.append((name.removesuffix(form.suffix), oid))
    return items


def tree_entries(body: bytes, where: str) -> Iterator[tuple[bytes, bytes, Oid]]:
    """Mode, name and id of each entry of a tree. Raises MalformedError."""
    at = 0
    while at < len(body):
        match = TREE_ENTRY.match(body, at)
        if match is None:
            raise malformed(POLICY, "tree.entry", where, "a tree entry", body[at : at + 40])
        yield match[1], match[2], Oid(match[3])
        at = match.end()
