"""Manual pages, made from what `-h` is made from: `git-kv(1)`, and one for each command.

Left to others: what the commands are (`commands.py`) and say of themselves.
"""

from __future__ import annotations

from argparse import SUPPRESS, Action, _SubParsersAction

from gitkv.cli.commands import COMMANDS, GLOBAL_OPTIONS, load_parser
from gitkv.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitkv.cli.arguments import Parser

EXIT_CODES = {
    0: "done",
    1: "no such key; for diff: the states differ",
    2: "an expectation does not hold, or another writer was first and kept being first",
    3: "the policy forbids it",
    4: "the key is invalid",
    5: "git, a file, a connection, or a defect",
    7: "the key has expired",
    8: "an attestation or stored data contradicts itself: stop, and tell a person",
    9: "this Stargate is not the leader",
    10: "the mirror did not show it in time",
    129: "the command line, or a batch, is malformed",
    130: "interrupted",
    141: "the reader of standard output went away",
}


def pages() -> Iterator[tuple[str, str]]:
    """File names (`git-kv.1`, `git-kv-set.1`, …) and the pages."""
    yield "git-kv.1", _overview()
    for name in COMMANDS:
        yield f"git-kv-{name}.1", _page(name)


def _page(name: str) -> str:
    parser, module = load_parser(name)
    notes = getattr(module, "NOTES", "")
    usages = getattr(module, "USAGE", name).split(" | " + name)
    first, *others = usages
    parts = [
        _head(f"git-kv-{name}", COMMANDS[name][1]),
        ".SH SYNOPSIS",
        *_usages(name, [first, *(name + other for other in others)]),
        ".SH DESCRIPTION",
        _paragraphs(f"{parser.description}\n{notes}"),
        ".SH OPTIONS",
        *_options(parser),
        ".PP",
        _text("The options of every command are described in git-kv(1)."),
        ".SH SEE ALSO",
        r"\fBgit-kv\fR(1), \fBgit\fR(1)",
    ]
    return "\n".join(parts) + "\n"


def _usages(name: str, usages: list[str]) -> Iterator[str]:
    for usage in usages:
        yield f".B git kv {name}"
        yield _text(usage.removeprefix(name).strip() or " ")
        yield ".br"


def _overview() -> str:
    parts = [
        _head("git-kv", "an auditable, versioned key-value store that uses Git as the database"),
        ".SH SYNOPSIS",
        ".B git kv",
        _text("[--ns NAME] [--json] [-C DIR] [--debug] COMMAND ..."),
        ".SH DESCRIPTION",
        _text(
            "Keys and values in a Git repository: each transaction is one signed commit, reads "
            "come from any Git host, writes go through Stargate, a gateway that checks them by a "
            "policy. A repository of one's own needs no gateway: git kv init."
        ),
        ".SH COMMANDS",
        *(_item(rf"{_bold(f'git-kv-{name}')}(1)", about) for name, (_, about) in COMMANDS.items()),
        ".SH OPTIONS",
        *(_item(_bold(option), about) for option, about in _global_options()),
        ".SH EXIT STATUS",
        *(_item(rf"\fB{code}\fR", about) for code, about in EXIT_CODES.items()),
        ".SH SEE ALSO",
        r"\fBgit\fR(1), \fBgit-config\fR(1)",
    ]
    return "\n".join(parts) + "\n"


def _global_options() -> Iterator[tuple[str, str]]:
    """Each global option with what it means: two spaces or more stand between them."""
    for line in GLOBAL_OPTIONS.splitlines()[1:]:
        option, _, about = line.strip().partition("  ")
        yield option, about.strip()


def _head(name: str, about: str) -> str:
    title = name.upper().replace("-", r"\-")
    return (
        f'.TH "{title}" 1 "" "git-kv {__version__}" "git-kv manual"\n'
        f".SH NAME\n{_text(name)} \\- {_text(about)}"
    )


def _options(parser: Parser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for verb, below in action.choices.items():
                yield f".SS {_text(verb)}"
                yield from _options(below)
        elif action.help is not SUPPRESS and (action.help or action.option_strings):
            yield _item(_bold(_spelling(action)), _help(action, parser))


def _spelling(action: Action) -> str:
    name = action.metavar if isinstance(action.metavar, str) else ""
    if not name and action.choices:
        name = "|".join(str(choice) for choice in action.choices)
    if not action.option_strings:
        return name or action.dest
    value = f" {name}" if action.nargs != 0 and name else ""
    return ", ".join(action.option_strings) + value


def _help(action: Action, parser: Parser) -> str:
    text = action.help or ""
    return text % {**vars(action), "prog": parser.prog} if "%(" in text else text


def _item(term: str, about: str) -> str:
    return f".TP\n{term}\n{_text(about)}"


def _bold(text: str) -> str:
    return rf"\fB{_text(text)}\fR"


def _paragraphs(text: str) -> str:
    """Lines that are indented stand as they are."""
    parts, literal = [], False
    for line in text.split("\n"):
        if line.startswith("  ") != literal:
            literal = not literal
            parts.append(".nf" if literal else ".fi")
        parts.append(_text(line))
    return "\n".join([*parts, ".fi"] if literal else parts)


def _text(text: str) -> str:
    """`text` as roff prints it: no character of it is a request or an escape."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    escaped = escaped.replace("…", "...").replace("^", r"\(ha").replace("~", r"\(ti")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
