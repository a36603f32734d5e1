"""Keys drawn as a tree, for people: what several keys begin with stands once."""

from __future__ import annotations

from gitkv.cli.output import safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CUTS = (":", "/")
_ITSELF = ""  # stands below a part that is the end of a key, which others may go on from
Branch = dict[str, "Branch"]


def draw_tree(keys: Iterable[str], delimiter: str = "") -> Iterator[str]:
    """One line a part of a key, its children indented below it; `keys` in order. Parts end after
    `delimiter`, or after each ':' and '/'; what could steer a terminal is escaped.
    """
    root: Branch = {}
    for key in keys:
        branch = root
        for part in _parts(key, (delimiter,) if delimiter else _CUTS):
            branch = branch.setdefault(part, {})
        branch[_ITSELF] = {}
    return (line for name, branch in root.items() for line in _drawn(name, branch))


def _parts(key: str, cuts: tuple[str, ...]) -> list[str]:
    parts, start = [], 0
    while (end := _next_cut(key, start, cuts)) and end < len(key):
        parts.append(key[start:end])
        start = end
    return [*parts, key[start:]]


def _next_cut(key: str, start: int, cuts: tuple[str, ...]) -> int:
    """Where the part that begins at `start` ends; 0 when it is the last."""
    found = [(at, cut) for cut in cuts if (at := key.find(cut, start)) >= 0]
    if not found:
        return 0
    at, cut = min(found)
    return at + len(cut)


def _drawn(name: str, branch: Branch) -> Iterator[str]:
    yield safe(name) if name else "(itself)"
    if list(branch) == [_ITSELF]:
        return
    last = len(branch) - 1
    for number, (part, below) in enumerate(branch.items()):
        stem, rail = ("└── ", "    ") if number == last else ("├── ", "│   ")
        lines = _drawn(part, below)
        yield stem + next(lines)
        for line in lines:
            yield rail + line
