"""Whether a regular expression can ever cost more than its subject is long: decided from the
expression alone.

Python's `re` backtracks: it walks every path through the expression's automaton that some
beginning of the subject allows, one after the other. Its steps are linear in the subject's length
exactly when the number of such paths has a bound (Weideman, van der Merwe, Berglund, Watson,
"Analyzing matching time behavior of backtracking regular expression matchers by using ambiguity
of NFA", CIAA 2016). It has none in two cases, and both can be decided:

- some loop can be run through in two ways on one word (exponential: `(a+)+`, `(a|a)*`);
- two different places p and q read the same word, from p to p, from p to q and from q to q
  (polynomial: `a*a*`, `\\d+[^x]*y`). Where the expression is searched for rather than matched at
  one place, "start anywhere" is such a loop before its first place: `search` with `<[^>]*>` is
  quadratic over many `<`.

The automaton is Glushkov's, one place for each character class. Repeats of more than
`_UNROLLED_MAX` (an id's exact number of digits apart) count as unbounded, so a large bound hides
nothing; assertions count as always true.
Both can only add paths. What the analysis cannot follow (back references, loops over what may be
empty, assertions with loops inside) is reported as a fault, too.
"""

from __future__ import annotations

import re
import re._constants as op  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, NamedTuple

_UNROLLED_MAX = 3
_EXACT_MAX = 40  # of one class, an exact number of times: an object id
_ONE_CHARACTER = (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN)
_EXTRA = (0x2028, 0x3042, 0x1F600)  # beyond Latin-1, what classes of ours could tell apart
_ALPHABET = (*range(256), *_EXTRA)
_ALL = (1 << len(_ALPHABET)) - 1
_CATEGORIES = {
    op.CATEGORY_DIGIT: str.isdigit,
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_WORD: lambda char: char.isalnum() or char == "_",
}
_NEGATED = {
    op.CATEGORY_NOT_DIGIT: op.CATEGORY_DIGIT,
    op.CATEGORY_NOT_SPACE: op.CATEGORY_SPACE,
    op.CATEGORY_NOT_WORD: op.CATEGORY_WORD,
}


class _Untraceable(Exception):
    pass


class _Part(NamedTuple):
    """A part of the expression: whether it can be empty, and which places can be its first and
    last, with how many ways there are.
    """

    nullable: bool
    first: Counter[int]
    last: Counter[int]


class _Automaton:
    """Glushkov's automaton. `follow` counts in how many ways one place leads to another."""

    def __init__(self) -> None:
        self.chars: list[int] = []  # of each place, as a bit set over _ALPHABET
        self.follow: list[Counter[int]] = []
        self.is_conditional = False  # an assertion may refuse what the places alone would take

    def place(self, chars: int) -> int:
        self.chars.append(chars)
        self.follow.append(Counter())
        return len(self.chars) - 1

    def connect(self, last: Counter[int], first: Counter[int]) -> None:
        for (source, ways), (target, more) in product(last.items(), first.items()):
            self.follow[source][target] += ways * more


def faults(pattern: re.Pattern[Any], *, searched: bool) -> list[str]:
    """Why the pattern's cost is not linear; nothing when it is. `searched`: it is tried at every
    place of the subject (search, findall, sub), not only at one (match, fullmatch).
    """
    automaton = _Automaton()
    try:
        tree = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
        whole = _Builder(automaton).sequence(tree, pattern.flags)
    except _Untraceable as reason:
        return [str(reason)]
    start, never_fail = -1, set()
    if searched:
        start = automaton.place(_ALL)
        automaton.connect(Counter([start]), whole.first + Counter([start]))
        # Whoever gets to a last place has found a match: the search goes on after it, not inside.
        never_fail = set() if automaton.is_conditional else set(whole.last)
    reach = [_reachable(automaton, place) for place in range(len(automaton.chars))]
    loops = {
        place: {other for other in found if place in reach[other]}
        for place, found in enumerate(reach)
        if place in found
    }
    pairs = (
        (p, q) for p, q in product(loops, loops) if p != q and not (p == start and q in never_fail)
    )
    return [*_exponential(automaton, loops), *_polynomial(automaton, loops, pairs)][:1]


class _Builder:
    def __init__(self, automaton: _Automaton) -> None:
        self._automaton = automaton

    def sequence(self, items: Any, flags: int) -> _Part:
        whole = _Part(True, Counter(), Counter())
        for code, argument in items:
            whole = self._joined(whole, self._part(code, argument, flags))
        return whole

    def _joined(self, left: _Part, right: _Part) -> _Part:
        self._automaton.connect(left.last, right.first)
        return _Part(
            left.nullable and right.nullable,
            left.first + right.first if left.nullable else left.first,
            left.last + right.last if right.nullable else right.last,
        )

    def _part(self, code: Any, argument: Any, flags: int) -> _Part:
        if code in _ONE_CHARACTER:
            place = Counter([self._automaton.place(_chars(code, argument, flags))])
            return _Part(False, place, Counter(place))
        if code is op.BRANCH:
            return _either([self.sequence(branch, flags) for branch in argument[1]])
        if code is op.SUBPATTERN:
            _, added, removed, items = argument
            return self.sequence(items, (flags | added) & ~removed)
        if code is op.ATOMIC_GROUP:
            return self.sequence(argument, flags)
        if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            return self._repeat(*argument, flags)
        if code is op.AT:
            self._automaton.is_conditional = True
            return _Part(True, Counter(), Counter())
        if code in (op.ASSERT, op.ASSERT_NOT):
            return self._assertion(argument[1], flags)
        raise _Untraceable(f"{code} cannot be followed")

    def _assertion(self, items: Any, flags: int) -> _Part:
        inner = _Automaton()
        _Builder(inner).sequence(items, flags)
        if any(_reachable(inner, place) & {place} for place in range(len(inner.chars))):
            raise _Untraceable("an assertion with a loop inside")
        self._automaton.is_conditional = True
        return _Part(True, Counter(), Counter())

    def _repeat(self, least: int, most: int, items: Any, flags: int) -> _Part:
        exact = least == most <= _EXACT_MAX and len(items) == 1 and items[0][0] in _ONE_CHARACTER
        if most > _UNROLLED_MAX and not exact:
            body = self.sequence(items, flags)
            if body.nullable:
                raise _Untraceable("a loop over what may be empty")
            self._automaton.connect(body.last, body.first)
            return body._replace(nullable=least == 0)
        whole = _Part(True, Counter(), Counter())
        for _ in range(most - least):  # from the inside out: (x(x)?)?
            whole = self._joined(self.sequence(items, flags), whole)._replace(nullable=True)
        for _ in range(least):
            whole = self._joined(self.sequence(items, flags), whole)
        return whole


def _either(parts: list[_Part]) -> _Part:
    return _Part(
        any(part.nullable for part in parts),
        sum((part.first for part in parts), Counter()),
        sum((part.last for part in parts), Counter()),
    )


def _chars(code: Any, argument: Any, flags: int) -> int:
    if code is op.ANY:
        return _ALL if flags & re.DOTALL else _ALL & ~_bits([0x0A], 0)
    if code is op.LITERAL:
        return _bits([argument], flags)
    if code is op.NOT_LITERAL:
        return _ALL & ~_bits([argument], flags)
    found, negate = 0, False
    for kind, value in argument:
        if kind is op.NEGATE:
            negate = True
        elif kind is op.LITERAL:
            found |= _bits([value], flags)
        elif kind is op.RANGE:
            low, high = value
            found |= _bits([char for char in _ALPHABET if low <= char <= high], flags)
        else:
            found |= _category(value)
    return _ALL & ~found if negate else found


def _category(name: Any) -> int:
    if name in _NEGATED:
        return _ALL & ~_category(_NEGATED[name])
    test = _CATEGORIES[name]
    return _bits([char for char in _ALPHABET if test(chr(char))], 0)


def _bits(chars: list[int], flags: int) -> int:
    if flags & re.IGNORECASE:
        chars = [
            ord(twin) for char in chars for twin in {chr(char).lower()[0], chr(char).upper()[0]}
        ]
    # What lies outside of the alphabet still has a place in it, so that no class looks empty.
    known = [char if char in _ALPHABET else _EXTRA[0] for char in chars]
    return sum({1 << _ALPHABET.index(char) for char in known})


def _reachable(automaton: _Automaton, start: int) -> set[int]:
    """The places that one or more steps lead to."""
    found: set[int] = set()
    ahead = [start]
    while ahead:
        for target in automaton.follow[ahead.pop()]:
            if target not in found:
                found.add(target)
                ahead.append(target)
    return found


def _exponential(automaton: _Automaton, loops: dict[int, set[int]]) -> Iterator[str]:
    for start, loop in loops.items():
        if start != min(loop):  # one place stands for all places of its loop
            continue
        ways = max(count for place in loop for count in automaton.follow[place].values())
        many = ways > 1 and any(automaton.follow[a][b] > 1 for a in loop for b in loop)
        steps = _walk(automaton, (start, start), [loop, loop])
        back, ahead = {(start, start)}, [(start, start)]
        while ahead:
            for source in steps.get(ahead.pop(), set()) - back:
                back.add(source)
                ahead.append(source)
        if many or any(one != other for one, other in back & steps.keys()):
            yield f"a loop through {_show(automaton, start)} has two ways for one word"


def _polynomial(
    automaton: _Automaton, loops: dict[int, set[int]], pairs: Iterable[tuple[int, int]]
) -> Iterator[str]:
    for p, q in pairs:
        between = _reachable(automaton, p)
        if q not in between:
            continue
        if (p, q, q) in _walk(automaton, (p, p, q), [loops[p], between, loops[q]]):
            yield f"{_show(automaton, p)} and then {_show(automaton, q)} read the same word"


def _walk(
    automaton: _Automaton, start: tuple[int, ...], allowed: list[set[int]]
) -> dict[tuple[int, ...], set[tuple[int, ...]]]:
    """Where several places get to by reading one and the same word of at least one character, each
    with where one comes from.
    """
    found: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    ahead = deque([start])
    while ahead:
        at = ahead.popleft()
        targets = [
            [place for place in automaton.follow[one] if place in inside]
            for one, inside in zip(at, allowed, strict=True)
        ]
        for target in product(*targets):
            common = _ALL
            for place in target:
                common &= automaton.chars[place]
            if common and target not in found:
                found[target] = set()
                ahead.append(target)
            if common:
                found[target].add(at)
    return found


def _show(automaton: _Automaton, place: int) -> str:
    chars = [chr(char) for at, char in enumerate(_ALPHABET) if automaton.chars[place] >> at & 1]
    return f"place {place} [{''.join(chars[:3])!r} and {len(chars)} in all]"
