"""What the rules say of a proposed push: accepted, or refused with every reason at once.

A reason is one line with five parts: exit code and rule, where, expected, got, hint. Text from
outside is escaped when a reason is made, so a reason can go to any terminal, log or wire as it is.
"""

from __future__ import annotations

from typing import NamedTuple

REASONS_MAX = 20
PART_CHARS_MAX = 200

CONFLICT = 2
POLICY = 3
KEY = 4
BROKEN = 5
INTEGRITY = 8
NOT_LEADER = 9


def printable(value: str | bytes) -> str:
    """`value` as one line of printable ASCII, at most PART_CHARS_MAX characters."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    text = "".join(
        char if " " <= char <= "~" else char.encode("unicode_escape", "backslashreplace").decode()
        for char in value[: PART_CHARS_MAX + 1]
    )
    return text if len(text) <= PART_CHARS_MAX else text[: PART_CHARS_MAX - 3] + "..."


class Reason(NamedTuple):
    """One broken rule. `code` is the exit code the writer's command ends with; `rule` a stable
    dotted word.
    """

    code: int
    rule: str
    where: str
    expected: str
    got: str
    hint: str = ""

    def text(self) -> str:
        """The reason as a person reads it: one line."""
        line = f"[{self.code} {self.rule}] {self.where}: expected {self.expected}, got {self.got}"
        return f"{line} (hint: {self.hint})" if self.hint else line


def reason(
    code: int,
    rule: str,
    where: str | bytes,
    expected: str | bytes,
    got: str | bytes,
    hint: str = "",
) -> Reason:
    """A Reason whose parts are safe to print."""
    return Reason(
        code, rule, printable(where), printable(expected), printable(got), printable(hint)
    )


class Verdict(NamedTuple):
    """All reasons against a push; none means accepted."""

    reasons: tuple[Reason, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether there is no reason to refuse."""
        return not self.reasons

    @property
    def exit_code(self) -> int:
        """0, or the code of the gravest reason: integrity, then policy, key, broken input, and a
        conflict last.
        """
        codes = {entry.code for entry in self.reasons}
        for code in (NOT_LEADER, INTEGRITY, POLICY, KEY, BROKEN, CONFLICT):
            if code in codes:
                return code
        return 0


ACCEPTED = Verdict()


def refuse(reasons: list[Reason]) -> Verdict:
    """The verdict for these reasons, cut to the first REASONS_MAX."""
    return Verdict(tuple(reasons[:REASONS_MAX]))


class FormError(ValueError):
    """Bytes that are not what the format says; carries the reason a judge would give."""

    def __init__(self, broken: Reason) -> None:
        super().__init__(broken.text())
        self.reason = broken
