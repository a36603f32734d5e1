"""The single values of a policy: text, numbers, sizes, dates, URLs. Each reader takes a node and
returns the proved value or None.

None means that a problem was added. YAML 1.1 gives `no`, `1:30`, `012` and `1_000` types nobody
expects, and other versions other ones: a plain scalar that any of them may read as something other
than text is refused where text is meant (spec/policy 2).
"""

from __future__ import annotations

import re

from gitkv.errors import KeyInvalidError
from gitkv.model.address import redact
from gitkv.model.duration import DURATION_FORM, TTL_S_MAX, parse_duration
from gitkv.model.key import encode_prefix
from gitkv.model.moment import parse_moment
from gitkv.policy.nodes import Listing, Mapping, Node, Problems, Scalar, quoted, unseen

_NOT_TEXT = re.compile(
    r"~|null|y|yes|n|no|on|off|true|false|=|<<"
    r"|[-+]?0(?:b[01_]+|x[0-9a-f_]+|o[0-7_]+)"  # integers in other bases
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"  # base 60
    # Decimal and octal integers, floats
    r"|[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:e[-+]?[0-9]+)?"
    r"|[-+]?\.inf|\.nan"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[t ].*)?",  # timestamps
    re.IGNORECASE | re.ASCII,
)
_COUNT = re.compile(r"[1-9][0-9]{0,11}")
_SIZE = re.compile(r"([1-9][0-9]{0,11})(KiB|MiB|GiB)?")
_UNIT = {None: 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?")
_DAY_S = 86400
_EMAIL = re.compile(
    r"[!-;=?A-~]+@[!-;=?A-~]+"
)  # printable ASCII without space, `<`, `>` and a second `@`
_EMAIL_CHARS_MAX = 254
# No part may start with `-`: ssh would read it as an option (CVE-2017-1000117).
_PUSH_URL = re.compile(
    r"ssh://(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,63}@)?(?:[A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::([1-9][0-9]{0,4}))?/[A-Za-z0-9._~/-]{1,255}"
)


def reads_as_text(text: str) -> bool:
    """Whether every version of YAML takes the plain scalar `text` for text."""
    return bool(text) and _NOT_TEXT.fullmatch(text) is None


def describe(node: Node) -> str:
    """What stands there, for "expected X, got Y"."""
    if isinstance(node, Scalar):
        return quoted(node.text) if node.text or not node.plain else "nothing"
    return "a list" if isinstance(node, Listing) else "a mapping"


def read_text(node: Node, what: str, problems: Problems) -> str | None:
    """One line of visible text (spec/policy 2.1)."""
    if not isinstance(node, Scalar) or (node.plain and not node.text):
        problems.add(node, f"{what}: expected text, got {describe(node)}")
    elif node.plain and not reads_as_text(node.text):
        problems.add(
            node,
            f"{what}: YAML does not read {quoted(node.text)} as text",
            f'put it in quotes: "{node.text[:60]}"',
        )
    elif unseen(node.text) is not None:
        problems.add(
            node, f"{what}: expected one line of visible characters, got {quoted(node.text)}"
        )
    else:
        return node.text
    return None


def read_choice(node: Node, what: str, choices: tuple[str, str], problems: Problems) -> str | None:
    """One of two words."""
    if isinstance(node, Scalar) and node.text in choices:
        return node.text
    problems.add(node, f"{what}: expected {choices[0]} or {choices[1]}, got {describe(node)}")
    return None


def read_flag(node: Node, what: str, problems: Problems) -> bool | None:
    """`true` or `false`, plain; none of YAML 1.1's twenty other spellings (spec/policy 2.2)."""
    if isinstance(node, Scalar) and node.plain and node.text in ("true", "false"):
        return node.text == "true"
    problems.add(
        node,
        f"{what}: expected true or false, got {describe(node)}",
        "write true or false, in lower case, without quotes",
    )
    return None


def read_count(node: Node, what: str, count_max: int, problems: Problems) -> int | None:
    """A plain decimal integer from 1 to `count_max` (spec/policy 2.3)."""
    match = _COUNT.fullmatch(node.text) if isinstance(node, Scalar) and node.plain else None
    if match is not None and int(match[0]) <= count_max:
        return int(match[0])
    hint = (
        "digits only: no quotes, sign, leading zero, point, colon or underscore"
        if match is None
        else ""
    )
    expected = f"an integer from 1 to {count_max}" if count_max > 1 else "1"
    problems.add(node, f"{what}: expected {expected}, got {describe(node)}", hint)
    return None


def read_size(node: Node, what: str, bytes_max: int, problems: Problems) -> int | None:
    """Bytes, from 1 to `bytes_max`: a plain number, or one with KiB, MiB or GiB (spec/policy
    2.3).
    """
    match = _SIZE.fullmatch(node.text) if isinstance(node, Scalar) and node.plain else None
    if match is not None and int(match[1]) * _UNIT[match[2]] <= bytes_max:
        return int(match[1]) * _UNIT[match[2]]
    hint = (
        "write it as 1048576 or 1MiB (KiB, MiB, GiB), without quotes or spaces"
        if match is None
        else ""
    )
    problems.add(
        node,
        f"{what}: expected a size from 1 byte to {bytes_max >> 20}MiB, got {describe(node)}",
        hint,
    )
    return None


def read_retention(fields: dict[str, Node], what: str, problems: Problems) -> int:
    """Seconds of `retention.ttl_default`, 0 without it (spec/policy 5.8)."""
    if "retention" not in fields:
        return 0
    inner = read_fields(fields["retention"], f"{what}: retention", ("ttl_default",), problems)
    node = inner.get("ttl_default")
    return (node and read_duration(node, f"{what}: retention: ttl_default", problems)) or 0


def read_duration(node: Node, what: str, problems: Problems) -> int | None:
    """Seconds of a time to live (spec/policy 2.7)."""
    text = node.text if isinstance(node, Scalar) else ""
    try:
        seconds = parse_duration(text)
    except ValueError:
        problems.add(node, f"{what}: expected {DURATION_FORM}, got {describe(node)}")
        return None
    if 1 <= seconds <= TTL_S_MAX:
        return seconds
    problems.add(node, f"{what}: expected 1s to {TTL_S_MAX // 86400}d, got {quoted(text)}")
    return None


def read_instant(node: Node, what: str, problems: Problems) -> int | None:
    """Seconds since 1970-01-01T00:00:00Z of a date (its first second, UTC) or an RFC 3339 time that
    ends in Z (spec/policy 2.4).
    """
    seconds = _instant_s(node.text) if isinstance(node, Scalar) else None
    if seconds is None:
        message = (
            f"{what}: expected a date such as 2027-01-31 or 2027-01-31T12:00:00Z, got "
            f"{describe(node)}"
        )
        problems.add(node, message, "dates are UTC, later than 1970-01-01")
    return seconds


def _instant_s(text: str) -> int | None:
    seconds = parse_moment(text) if _DATE.fullmatch(text) else None
    return seconds if seconds is not None and seconds >= _DAY_S else None


def read_push_url(node: Node, what: str, problems: Problems) -> str | None:
    """The address of a Stargate, safe to hand to ssh (spec/policy 3.3)."""
    text = read_text(node, what, problems)
    if text is None:
        return None
    match = _PUSH_URL.fullmatch(text)
    if match is not None and int(match[1] or 22) <= 65535:
        return text
    shown = quoted(redact(text, text))  # a refused policy is told to everybody who reads the log
    problems.add(node, f"{what}: expected ssh://[user@]host[:port]/path, got {shown}")
    return None


def read_email(node: Node, what: str, problems: Problems) -> str | None:
    """An email address, made lower-case (spec/policy 2.6)."""
    text = read_text(node, what, problems)
    if text is None:
        return None
    if len(text) <= _EMAIL_CHARS_MAX and _EMAIL.fullmatch(text):
        return text.lower()
    problems.add(node, f"{what}: expected an email address in printable ASCII, got {quoted(text)}")
    return None


def read_prefix(node: Node, what: str, problems: Problems) -> bytes | None:
    """The encoded form of a non-empty key prefix (spec/policy 2.5, spec/format 1.2)."""
    text = read_text(node, what, problems)
    if text is None:
        return None
    if not text:
        problems.add(
            node,
            f"{what}: expected a prefix, got an empty one",
            "leave the list out to allow every key",
        )
        return None
    try:
        return encode_prefix(text)
    except KeyInvalidError as error:
        problems.add(node, f"{what}: no key starts with {quoted(text)}: {error}", error.hint)
        return None


def read_items(
    node: Node, what: str, problems: Problems, *, items_min: int, hint: str = ""
) -> list[Node]:
    """The items of a list of at least `items_min`."""
    if not isinstance(node, Listing):
        problems.add(node, f"{what}: expected a list, got {describe(node)}")
        return []
    if len(node.items) < items_min:
        problems.add(node, f"{what}: expected at least one item, got none", hint)
    return node.items


def read_entries(node: Node, what: str, problems: Problems) -> list[tuple[Scalar, Node]]:
    """Name and value of each entry of a mapping; names are what the caller must still judge."""
    if not isinstance(node, Mapping):
        hint = (
            "write {} for one without entries"
            if isinstance(node, Scalar) and node.plain and not node.text
            else ""
        )
        problems.add(node, f"{what}: expected a mapping, got {describe(node)}", hint)
        return []
    return [(key, value) for key, value in node.pairs if isinstance(key, Scalar)]


def read_fields(
    node: Node, what: str, known: tuple[str, ...], problems: Problems
) -> dict[str, Node]:
    """The values of a mapping whose keys are fixed; unknown keys are problems, with the nearest
    known one as a hint.
    """
    fields: dict[str, Node] = {}
    for key, value in read_entries(node, what, problems):
        if key.text in known:
            fields.setdefault(key.text, value)
        elif not (key.plain and key.text == "<<"):  # reported as a merge key already
            problems.add(key, f"{what}: unknown key {quoted(key.text)}", _nearest(key.text, known))
    return fields


def _nearest(word: str, known: tuple[str, ...]) -> str:
    from difflib import get_close_matches  # only who mistypes pays

    near = get_close_matches(word[:64].lower(), known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
