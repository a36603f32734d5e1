"""`git kv render`: a text with the values of keys in it."""

from __future__ import annotations

from gitkv.cli.arguments import add_state
from gitkv.cli.output import put_json, put_value, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = "render TEMPLATE [-o FILE] [--at REV] [--read-from mirror|stargate|local]"
NOTES = """\
In TEMPLATE ('-': standard input) {{ KEY }} is the value of KEY. {{ KEY | json }} is it as a JSON
string, {{ KEY | shell }} as one word of a shell, {{ KEY | base64 }} in base64; {{ KEY ? TEXT }} is
TEXT where there is no such key. A KEY with spaces, quotes, '|', '?' or braces is written as a JSON
string. {{{{ is {{ itself. All values come from one state. Exit code 1: a key does not exist, and
nothing is written; 129: the template is malformed."""


def add_arguments(parser: Parser) -> None:
    """Declares the template and where the text goes."""
    parser.add_argument("template", metavar="TEMPLATE")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the text to FILE, as a whole or not at all"
    )
    add_state(parser)


def run(args: Namespace, context: Context) -> int:
    """Writes the text; returns the exit code."""
    from gitkv.cli.source import read_whole
    from gitkv.reading.template import filled, parse_template

    parts = parse_template(read_whole(args.template, context))
    with context.open_store() as store:
        text = filled(parts, lambda keys: store.found(keys, at=args.at, read_from=args.read_from))
    if args.output in (None, "-"):
        put_value(text)
        return 0
    write_file(context.path(args.output), [text])
    if context.json:
        put_json({"file": args.output, "size": len(text)})
    return 0
