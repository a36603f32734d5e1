"""A write as the caller means it, before any tip is looked at: changes by name, expectations, a
message. Checked once, here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gitkv.client.values import Expect
from gitkv.errors import ConflictError, KeyNotFoundError, UsageError
from gitkv.ledger.compose import Tip
from gitkv.ledger.index_line import EXPIRES_MAX, is_ctype, parse_live
from gitkv.ledger.roots import open_index
from gitkv.ledger.seek import Load
from gitkv.ledger.view import find_line
from gitkv.model.attestation import Attestation, format_message
from gitkv.model.commit import COMMIT_BYTES_MAX
from gitkv.model.content import Content, Put
from gitkv.model.key import decode_name, encode_key
from gitkv.model.oid import EMPTY_TREE, Oid, parse_oid
from gitkv.model.refs import EpochLabel, Namespace
from gitkv.model.verdict import FormError

_TEXT_BYTES_MAX = COMMIT_BYTES_MAX - (
    4 << 10
)  # leaves room for the identity, the trailers and the signature
_SAMPLE = Attestation(
    Namespace("main"),
    "00000000-0000-7000-8000-000000000000",
    0,
    None,
    None,
    None,
    EMPTY_TREE,
    EpochLabel("e1"),
    0,
    0,
)


class Draft(NamedTuple):
    """A proved request. `seen`: names and the value ids that must still be theirs (None: absent);
    `absent`: no key to be set exists;

    `must_exist`: every key to be deleted exists; `tree`: the root tree that must still be the
    tip's; `only_expired`: a key that has not expired at that tip, any more, is left alone.
    """

    changes: dict[bytes, Put | None]
    seen: dict[bytes, Oid | None]
    absent: bool
    must_exist: bool
    tree: Oid | None
    text: str
    only_expired: bool = False


def make_draft(
    changes: Mapping[str, Put | None], expect: Expect, message: str, *, must_exist: bool = False
) -> Draft:
    """Raises KeyInvalidError, and UsageError for a value, content type, expectation or message that
    cannot be.
    """
    named: dict[bytes, Put | None] = {
        encode_key(key): _checked(key, put) for key, put in changes.items()
    }
    seen: dict[bytes, Oid | None] = {}
    if expect.if_match is not None:
        if len(named) != 1:
            raise UsageError(f"if_match speaks of one key: expected one change, got {len(named)}")
        seen[next(iter(named))] = _parsed_oid(expect.if_match, "if_match")
    tree = None if expect.tree is None else _parsed_oid(expect.tree, "tree")
    return Draft(
        named, seen, expect.if_absent, must_exist, tree, _checked_text(message or _subject(changes))
    )


def check_expectations(draft: Draft, tip: Tip, load: Load, now_s: int) -> None:
    """Raises ConflictError when an expectation does not hold at `tip`, KeyNotFoundError when a key
    to be deleted is not there.
    """
    if draft.tree is not None and draft.tree != tip.ledger.commit.tree:
        raise _conflict(
            "the store has changed",
            f"tree {draft.tree.hex()}",
            f"tree {tip.ledger.commit.tree.hex()}",
        )
    for name, wanted in draft.seen.items():
        line = find_line(tip, name, load)
        if (line.oid if line else None) != wanted:
            raise _conflict(
                f"key {decode_name(name)} has changed",
                _etag(wanted),
                _etag(line.oid if line else None),
            )
    if draft.absent:
        _check_absent(draft, tip, load, now_s)
    if draft.must_exist:
        for name in (name for name, put in draft.changes.items() if put is None):
            if find_line(tip, name, load) is None:
                raise KeyNotFoundError(f"key {decode_name(name)} does not exist")


def changes_at(draft: Draft, tip: Tip, load: Load, now_s: int) -> dict[bytes, Put | None]:
    """The changes that the draft asks for at this tip."""
    if not draft.only_expired:
        return draft.changes
    names = sorted(draft.changes)
    live = open_index(tip.ledger.attestation.index_tree, load).live
    lines = zip(names, live.get_many(names), strict=True)
    return {name: None for name, line in lines if line and parse_live(line).is_expired(now_s)}


def _check_absent(draft: Draft, tip: Tip, load: Load, now_s: int) -> None:
    for name in (name for name, put in draft.changes.items() if put is not None):
        line = find_line(tip, name, load)
        if line is not None and not line.is_expired(now_s):
            raise _conflict(f"key {decode_name(name)} exists", _etag(None), _etag(line.oid))


def expiry(ttl_s: int, expires: int, now_s: int) -> int:
    """When a value expires that is to live `ttl_s` seconds from now, or until `expires`, seconds
    since 1970; 0, for never, when both are 0. Raises UsageError.
    """
    if ttl_s and expires:
        raise UsageError("a time to live and a moment of expiry were given: expected one of them")
    if ttl_s < 0 or (ttl_s and now_s + ttl_s > EXPIRES_MAX):
        raise UsageError(
            f"time to live: expected 0 (for ever) to {EXPIRES_MAX - now_s} seconds, got {ttl_s}"
        )
    if expires and not now_s < expires <= EXPIRES_MAX:
        raise UsageError(
            f"expiry: expected a moment after now, {now_s}, and at most {EXPIRES_MAX} "
            f"seconds since 1970, got {expires}"
        )
    return now_s + ttl_s if ttl_s else expires


def _checked(key: str, put: Put | None) -> Put | None:
    if put is None:
        return None
    if not isinstance(put.value, (bytes, Content)):
        raise UsageError(
            f"value of {key}: expected bytes or a content, got {type(put.value).__name__}"
        )
    if not is_ctype(put.ctype):
        raise UsageError(
            f"content type of {key}: expected 1 to 127 printable ASCII characters, got "
            f"{put.ctype[:130]!r}"
        )
    if not 0 <= put.expires <= EXPIRES_MAX:
        raise UsageError(
            f"expiry of {key}: expected 0 to {EXPIRES_MAX} seconds since 1970, got {put.expires}"
        )
    return put


def _checked_text(text: str) -> str:
    try:
        if len(text.encode()) > _TEXT_BYTES_MAX:
            raise UsageError(
                f"the message is too long: expected at most {_TEXT_BYTES_MAX} bytes, got "
                f"{len(text.encode())}"
            )
        format_message(text, _SAMPLE)
    except FormError as error:
        raise UsageError(
            f"the message cannot stand in a commit: expected {error.reason.expected}, got "
            f"{error.reason.got}"
        ) from None
    except UnicodeEncodeError:
        raise UsageError("the message is not valid UTF-8") from None
    return text


def _subject(changes: Mapping[str, Put | None]) -> str:
    """What a transaction without a message says of itself."""
    sets = [key for key, put in changes.items() if put is not None]
    deletes = [key for key, put in changes.items() if put is None]
    parts = [_some("set", sets)] if sets else []
    parts += [_some("delete", deletes)] if deletes else []
    return ", ".join(parts) or "nothing"


def _some(verb: str, keys: Iterable[str]) -> str:
    listed = list(keys)
    return f"{verb} {shown_key(listed[0])}" if len(listed) == 1 else f"{verb} {len(listed)} keys"


def shown_key(key: str) -> str:
    """A key as a message can hold it: in quotes, and escaped, where a character of it could end a
    line or turn the reading direction.
    """
    if key.isprintable():
        return key
    from json import dumps  # for the rare key

    return "".join(
        char if char.isprintable() else dumps(char)[1:-1] for char in dumps(key, ensure_ascii=False)
    )


def _parsed_oid(text: str, what: str) -> Oid:
    try:
        return parse_oid(text.encode("ascii", "replace"))
    except ValueError:
        raise UsageError(f"{what}: expected 40 lower-case hex digits, got {text[:60]!r}") from None


def _etag(oid: Oid | None) -> str:
    return "no value" if oid is None else oid.hex()


def _conflict(what: str, expected: str, actual: str) -> ConflictError:
    return ConflictError(
        f"{what}: expected {expected}, got {actual}", expected=expected, actual=actual
    )
