"""From the bytes of a policy to nodes with positions, and the refusal of everything YAML offers
that a policy must not use.

The tree is built from PyYAML's *events*: nothing is constructed, aliases are never followed and
depth is bounded before anything is kept, so a document costs what its length costs. What the nodes
mean is left to `text.py`, scalar values to `scalars.py`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from gitkv.errors import PolicyError
from gitkv.model.verdict import printable

POLICY_BYTES_MAX = 256 << 10
DEPTH_MAX = 8  # collections inside one another; the policy's own shape needs 6
PROBLEMS_MAX = 20

# Cc controls, Cf invisible and bidirectional marks (a reviewer must see what is written), Cs
# surrogates, Zl and Zp (YAML 1.1 line breaks).
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_NOT_CHARACTERS = "\ufffe\uffff"


class PolicyProblem(NamedTuple):
    """One thing wrong in a policy. `line` and `column` count from 1; `rule` is the stable word of
    the reason made of it.
    """

    line: int
    column: int
    message: str
    hint: str = ""
    rule: str = "policy.syntax"


class PolicyTextError(PolicyError):
    """The text is not a valid policy; `errors` holds every problem found, at most PROBLEMS_MAX, in
    the order of the text.
    """

    def __init__(self, errors: list[PolicyProblem]) -> None:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(
            f"the policy is not valid: line {first.line}, column {first.column}: "
            f"{first.message}{more}",
            hint=first.hint,
        )
        self.errors = errors


class Scalar(NamedTuple):
    """`plain`: written without quotes and not as a block, the only spelling YAML gives a type other
    than text.
    """

    line: int
    column: int
    text: str
    plain: bool = False


class Listing(NamedTuple):
    line: int
    column: int
    items: list[Node]


class Mapping(NamedTuple):
    line: int
    column: int
    pairs: list[tuple[Node, Node]]


Node = Scalar | Listing | Mapping


class Problems:
    """Collects problems; gives up (raises PolicyTextError) when there are PROBLEMS_MAX."""

    def __init__(self) -> None:
        self._found: list[PolicyProblem] = []
        self._muted: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return len(self._found)

    def mute(self, at: Node) -> None:
        """Nothing more is said of what stands there: it follows from a problem already told."""
        self._muted.add(at[:2])

    def add(
        self, at: Node | tuple[int, int], message: str, hint: str = "", rule: str = "policy.syntax"
    ) -> None:
        """Notes a problem at a node or at (line, column), unless one was noted there before."""
        if at[:2] in self._muted:
            return
        self._found.append(PolicyProblem(at[0], at[1], message, hint, rule))
        if len(self._found) >= PROBLEMS_MAX:
            self.stop()

    def fail(self, at: Node | tuple[int, int], message: str, hint: str = "") -> NoReturn:
        """The last problem: nothing after it can be read."""
        self._found.append(PolicyProblem(at[0], at[1], message, hint))
        raise PolicyTextError(sorted(self._found, key=lambda problem: problem[:2]))

    def stop(self) -> None:
        """Raises PolicyTextError if there is any problem."""
        if self._found:
            raise PolicyTextError(sorted(self._found, key=lambda problem: problem[:2]))


def quoted(text: str) -> str:
    """What was found, short enough for a message and safe to print."""
    return f'"{printable(text if len(text) <= 60 else text[:60] + "…")}"'


def unseen(text: str, allowed: str = "") -> int | None:
    """Where the first character stands that a person cannot see or a terminal would obey; None when
    there is none.
    """
    if text.isascii() and text.replace(allowed, "").isprintable():
        return None
    return next(
        (at for at, char in enumerate(text) if char not in allowed and _is_unseen(char)), None
    )


def _is_unseen(char: str) -> bool:
    return unicodedata.category(char) in _UNSEEN or char in _NOT_CHARACTERS


def read_nodes(text: bytes, problems: Problems) -> Node:
    """The root node of the one document in `text` (spec/policy 1). Raises PolicyTextError when no
    tree can be made of it.
    """
    events = _events(_decode(text, problems), problems)
    builder = _Builder(problems)
    for event in events:
        builder.step(event)
    if builder.root is None:
        problems.fail(
            (1, 1), "the policy is empty", "start from the one that `git kv stargate init` writes"
        )
    return builder.root


def _decode(text: bytes, problems: Problems) -> str:
    if len(text) > POLICY_BYTES_MAX:
        problems.fail(
            (1, 1),
            f"the policy is too large: expected at most {POLICY_BYTES_MAX} bytes, got {len(text)}",
        )
    if text.startswith(b"\xef\xbb\xbf"):
        problems.fail(
            (1, 1), "the policy starts with a byte-order mark", "save it as UTF-8 without one"
        )
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        problems.fail(
            _position(text[: error.start].decode("utf-8")),
            "the policy is not UTF-8",
            "save it as UTF-8",
        )
    at = unseen(decoded, "\n")
    if at is not None:
        hint = (
            "save the file with LF line ends"
            if decoded[at] == "\r"
            else "indent with spaces"
            if decoded[at] == "\t"
            else ""
        )
        problems.fail(
            _position(decoded[:at]),
            f"character U+{ord(decoded[at]):04X} is not allowed in a policy",
            hint,
        )
    return decoded


def _position(before: str) -> tuple[int, int]:
    """Line and column of the character after `before`."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _events(text: str, problems: Problems) -> Iterator[Any]:
    import yaml  # 10 ms and more: only who reads a policy pays

    at = (1, 1)
    try:
        events: Any = yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        for event in events:
            at = (event.start_mark.line + 1, event.start_mark.column + 1)
            yield event
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            at = (
                min(mark.line, text.count("\n")) + 1,
                mark.column + 1,
            )  # libyaml adds a line end where the last is missing
        problems.fail(at, f"not YAML: {printable(error.problem or str(error.context))}")
    except (
        yaml.YAMLError,
        ValueError,
        OverflowError,
    ):  # the pure-Python scanner lets int() and chr() fail on absurd input
        problems.fail(at, "not YAML: unreadable from here on")


class _Builder:
    """Turns events into nodes. Anchors, aliases, tags and directives are reported and otherwise
    ignored.
    """

    def __init__(self, problems: Problems) -> None:
        self.root: Node | None = None
        self._problems = problems
        self._open: list[
            tuple[Listing | Mapping, list[Node]]
        ] = []  # collections not closed yet, each with its children so far
        self._documents = 0

    def step(self, event: Any) -> None:
        kind = type(event).__name__
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if kind == "DocumentStartEvent":
            self._start_document(event, (line, column))
        elif kind in ("SequenceStartEvent", "MappingStartEvent"):
            self._check_properties(event, (line, column))
            self._start_collection(
                Listing(line, column, [])
                if kind == "SequenceStartEvent"
                else Mapping(line, column, [])
            )
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            self._end_collection()
        elif kind == "ScalarEvent":
            self._check_properties(event, (line, column))
            self._keep(Scalar(line, column, event.value, not event.style))
        elif kind == "AliasEvent":
            self._problems.add((line, column), "aliases are not allowed", "write the value out")
            stand_in = Scalar(line, column, "*" + event.anchor)
            self._problems.mute(stand_in)
            self._keep(stand_in)

    def _start_document(self, event: Any, at: tuple[int, int]) -> None:
        self._documents += 1
        if event.version or event.tags:
            self._problems.add(
                at, "directives are not allowed", "remove the lines that start with %"
            )
        if self._documents > 1:
            self._problems.fail(
                at,
                "a second document starts here: expected one",
                "remove this `---` and what follows",
            )

    def _check_properties(self, event: Any, at: tuple[int, int]) -> None:
        if event.anchor is not None:
            self._problems.add(
                at, "anchors are not allowed", f"remove &{printable(event.anchor[:60])}"
            )
        if event.tag is not None:
            self._problems.add(at, "tags are not allowed", f"remove {printable(event.tag[:60])}")

    def _start_collection(self, node: Listing | Mapping) -> None:
        if len(self._open) >= DEPTH_MAX:
            self._problems.fail(node, f"nested too deeply: expected at most {DEPTH_MAX} levels")
        self._open.append((node, []))

    def _end_collection(self) -> None:
        node, children = self._open.pop()
        if isinstance(node, Listing):
            node.items.extend(children)
        else:
            node.pairs.extend(zip(children[::2], children[1::2], strict=True))
            self._check_keys(node)
        self._keep(node)

    def _keep(self, node: Node) -> None:
        if self._open:
            self._open[-1][1].append(node)
        else:
            self.root = node

    def _check_keys(self, node: Mapping) -> None:
        lines: dict[str, int] = {}
        for key, _ in node.pairs:
            if not isinstance(key, Scalar):
                self._problems.add(key, "a list or mapping cannot be a name")
            elif key.plain and key.text == "<<":
                self._problems.add(key, "merge keys are not allowed", "write the entries out")
            elif key.text in lines:
                self._problems.add(
                    key,
                    f"{quoted(key.text)} is given twice: it is already on line {lines[key.text]}",
                )
            else:
                lines[key.text] = key.line
