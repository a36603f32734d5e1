"""`git kv diff`: the keys in which two states differ, and with -p their values."""

from __future__ import annotations

from gitkv.cli.output import is_terminal, put_json_lines, put_lines, safe
from gitkv.cli.paging import paged
from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.colour import Paint
    from gitkv.cli.context import Context
    from gitkv.client.store import Store
    from gitkv.reading.answers import Changed

USAGE = "diff [-p] REV [REV] [--prefix P] | diff KEY REV REV"
NOTES = """\
REV is @SEQ, a ledger commit, an epoch's label, or a moment; a missing second one is the newest.
One line a key: A (added), M (changed) or D (deleted), a tab, the key. With -p, or for one KEY, the
lines of the values that differ, for people: JSON by its content, other text as it is.
Exit code 1: they differ; 0: they do not."""
_LETTERS = {"add": "A", "change": "M", "delete": "D"}


def add_arguments(parser: Parser) -> None:
    """Declares the two revisions, the keys and the form."""
    parser.add_argument("words", metavar="[KEY] REV", nargs="+")
    parser.add_argument("--prefix", default="", metavar="P", help="only keys that begin with P")
    parser.add_argument(
        "-p", "--patch", action="store_true", help="show the values, and in what they differ"
    )


def run(args: Namespace, context: Context) -> int:
    """Prints what differs; returns 1 when anything does, 0 otherwise."""
    key, old, new = _operands(args)
    counted = _Counted()
    with context.open_store() as store, paged(context, store, "diff"):
        try:
            found = store.diff(old, new, prefix=args.prefix, key=key)
        except UsageError as error:
            raise _with_form(error, args.words) from None
        changes = counted.each(found)
        if args.patch or key:
            _put_patch(store, changes, (old, new or "newest"), context)
        elif context.json:
            put_json_lines(change._asdict() for change in changes)
        else:
            shown = safe if is_terminal() else str
            put_lines(f"{_LETTERS[change.op]}\t{shown(change.key)}" for change in changes)
    return 1 if counted.any else 0


def _operands(args: Namespace) -> tuple[str, str, str]:
    """The key, "" for all, and the two revisions, the second "" for the newest."""
    words = args.words
    if len(words) > 3:
        raise UsageError(f"expected REV [REV] or KEY REV REV, got {len(words)} words")
    if len(words) == 3 and args.prefix:
        raise UsageError("expected KEY or --prefix, got both")
    if len(words) == 3:
        return words[0], words[1], words[2]
    return "", words[0], words[1] if len(words) == 2 else ""


def _with_form(error: UsageError, words: list[str]) -> UsageError:
    """For somebody who named a key and one state: a key could look like a state."""
    if len(words) != 2:
        return error
    hint = f"{error.hint}\none key in two states is: git kv diff KEY REV REV".strip()
    return UsageError(str(error), hint=hint)


def _put_patch(
    store: Store, changes: Iterator[Changed], names: tuple[str, str], context: Context
) -> None:
    from gitkv.cli.colour import Paint
    from gitkv.cli.patch import SHOWN_BYTES_MAX, patch, patch_fields

    differing = store.values_of_diff(changes, bytes_max=SHOWN_BYTES_MAX)
    if context.json:
        put_json_lines(map(patch_fields, differing))
    else:
        paint = Paint(context, store)
        put_lines(line for one in differing for line in _painted(patch(one, names), paint))


def _painted(lines: Iterator[str], paint: Paint) -> Iterator[str]:
    """The lines of one key: titles up to the first `@@`, then what differs."""
    kinds = {"@": "part", "-": "old", "+": "new"}
    begun = False
    for line in lines:
        begun = begun or line.startswith("@@")
        kind = kinds.get(line[:1], "") if begun else "title"
        yield paint(kind, line) if kind else line


class _Counted:
    """Remembers whether anything came by."""

    any = False

    def each(self, changes: Iterator[Changed]) -> Iterator[Changed]:
        for change in changes:
            self.any = True
            yield change
