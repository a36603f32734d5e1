"""`git kv manual`: puts the manual pages where `man` finds them."""

from __future__ import annotations

import os

from gitkv.cli.output import put_json, put_line, safe, write_file
from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = "manual [--to DIR]"
NOTES = """\
pip and pipx put the pages where man finds them, for a program on the PATH. Where they are missing
(uv tool, an installation of another kind), this writes them, and then 'git kv --help',
'git help kv' and 'man git-kv-set' work."""


def add_arguments(parser: Parser) -> None:
    """Declares the folder."""
    parser.add_argument(
        "--to",
        metavar="DIR",
        help="a folder man1 of a manual path (default: the person's own, ~/.local/share/man/man1)",
    )


def run(args: Namespace, context: Context) -> int:
    """Writes the manual pages; returns the exit code."""
    from gitkv.cli.man_pages import pages

    folder = context.path(args.to) if args.to is not None else _own(context)
    os.makedirs(folder, exist_ok=True)
    names = []
    for name, page in pages():
        write_file(os.path.join(folder, name), [page.encode()])
        names.append(name)
    if context.json:
        put_json({"directory": folder, "files": names})
        return 0
    put_line(safe(folder))
    context.note(f"{len(names)} pages written; man finds them where ~/.local/bin is on the PATH")
    return 0


def _own(context: Context) -> str:
    home = context.env.get("HOME", "")
    if not home:
        raise UsageError("HOME is not set", hint="say where: --to DIR")
    data = context.env.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    return os.path.join(data, "man", "man1")
