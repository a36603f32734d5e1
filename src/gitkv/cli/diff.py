"""`git kv diff`: the keys in which two states differ."""

from __future__ import annotations

from gitkv.cli.output import is_terminal, put_json_lines, put_lines, safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.reading.answers import Changed

USAGE = "diff REV [REV] [--prefix P]"
NOTES = """\
REV is @SEQ, a ledger commit, or an epoch's label; a missing second one is the newest state.
One line a key: A (added), M (changed) or D (deleted), a tab, the key. Exit code 1: they differ;
0: they do not."""
_LETTERS = {"add": "A", "change": "M", "delete": "D"}


def add_arguments(parser: Parser) -> None:
    """Declares the two revisions and the prefix."""
    parser.add_argument("old", metavar="REV")
    parser.add_argument("new", metavar="REV", nargs="?", default="")
    parser.add_argument("--prefix", default="", metavar="P", help="only keys that begin with P")


def run(args: Namespace, context: Context) -> int:
    """Prints what differs; returns 1 when anything does, 0 otherwise."""
    counted = _Counted()
    with context.open_store() as store:
        changes = counted.each(store.diff(args.old, args.new, prefix=args.prefix))
        if context.json:
            put_json_lines(change._asdict() for change in changes)
        else:
            shown = safe if is_terminal() else str
            put_lines(f"{_LETTERS[change.op]}\t{shown(change.key)}" for change in changes)
    return 1 if counted.any else 0


class _Counted:
    """Remembers whether anything came by."""

    any = False

    def each(self, changes: Iterator[Changed]) -> Iterator[Changed]:
        for change in changes:
            self.any = True
            yield change
