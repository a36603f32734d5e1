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


TO_TREES, TO_PAGES, TO_BLOBS = (
    _form(b"40000", b"!"),
    _form(b"100644", b"!"),
    _form(b"100644", b""),
)
TREE_ENTRY = re.compile(rb"([^ \x00]{1,8}) ([^\x00]+)\x00(.{20})", re.DOTALL)


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
