"""What can stand next on the command line: commands, options, their values, keys and states. Asked
by the shells' completions; quick, offline, and silent about whatever fails.

Each line is a candidate, and after a tab what it is. A line of a tab and `files` or `directories`
leaves it to the shell. Nothing that could steer a terminal or turn the reading direction comes out,
and no key that would be read as an option.
"""

from __future__ import annotations

import argparse
import re
from itertools import islice

from gitkv.cli.commands import COMMANDS, load_parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.store import Store

    Ask = Callable[[Store, str], Iterator[str]]

FILES, DIRECTORIES = "\tfiles", "\tdirectories"
_SHOWN_MAX = 200
_REMOTE = re.compile(r"remote\.[^\n]+\.url")
_STATES_MAX = 30
_GLOBALS = {
    "--ns": "the namespace",
    "--json": "answers in JSON",
    "-C": "work as if started there",
    "--debug": "show where an error came from",
    "--version": "print the version",
    "--help": "help",
}
_FILES = ("FILE", "[NAME=]KEY.pub", "NAME=KEY.pub")
_KEYS = ("KEY", "SOURCE", "TARGET", "P", "PREFIX")
_TIMES = ("90s", "45m", "12h", "30d", "2w")
_TYPES = ("application/json", "application/octet-stream", "application/yaml", "text/plain")


def candidates(words: list[str], context: Context) -> list[str]:
    """Lines for the last of `words`, which is being typed; the ones before it stand on the line
    after `git kv`.
    """
    typed, line = words[-1], _Line(words[:-1])
    context.ns = line.ns or context.ns
    found = list(islice(_found(line, typed, context), _SHOWN_MAX))
    if found and found[0] in (FILES, DIRECTORIES):
        return found[:1]
    return [text for text in found if text.startswith(typed) and _is_shown(text)]


def _is_shown(text: str) -> bool:
    word, _, about = text.partition("\t")
    return word.isprintable() and about.isprintable()


class _Line:
    """The words before the one that is typed, told apart: `verb`, its `operands`, the option that
    waits for its value (`waiting`), and whether `--` has ended the options.
    """

    def __init__(self, words: list[str]) -> None:
        self.verb = self.ns = self.waiting = ""
        self.operands: list[str] = []
        self.ended = False
        self.parser: Parser | None = None
        for word in words:
            self._take(word)

    def _take(self, word: str) -> None:
        if self.waiting:
            if self.waiting == "--ns":
                self.ns = word
            self.waiting = ""
        elif self.ended or not word.startswith("-") or word == "-":
            self._operand(word)
        elif word == "--":
            self.ended = True
        elif word in ("--ns", "-C") or self._takes_value(word):
            self.waiting = word
        elif word.startswith("--ns="):
            self.ns = word[5:]

    def _operand(self, word: str) -> None:
        if not self.verb:
            self.verb = word
            self.parser = load_parser(word)[0] if word in COMMANDS else None
        elif self._verbs():
            self.parser = self._verbs().get(word)
        else:
            self.operands.append(word)

    def _verbs(self) -> dict[str, Parser]:
        """The verbs that a command groups, until one is chosen."""
        for action in _actions(self.parser):
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}

    def _takes_value(self, word: str) -> bool:
        found = self.option(word)
        return found is not None and found.nargs != 0

    def option(self, word: str) -> argparse.Action | None:
        """The option of the command that is spelt so."""
        return next((one for one in _actions(self.parser) if word in one.option_strings), None)

    def operand(self) -> argparse.Action | None:
        """The operand that stands next; the last one when it may be repeated."""
        places = [one for one in _actions(self.parser) if not one.option_strings]
        for at, place in enumerate(places):
            if at == len(self.operands) or place.nargs in ("*", "+"):
                return place
        return None


def _actions(parser: Parser | None) -> list[argparse.Action]:
    return parser._actions if parser is not None else []


def _found(line: _Line, typed: str, context: Context) -> Iterator[str]:
    if line.waiting:
        yield from _values(line, line.waiting, typed, context)
    elif typed.startswith("--") and "=" in typed and not line.ended:
        name, _, value = typed.partition("=")
        for text in _values(line, name, value, context):
            yield text if text in (FILES, DIRECTORIES) else f"{name}={text}"
    elif typed.startswith("-") and not line.ended:
        yield from _options(line)
    elif not line.verb or line.verb == "help":
        yield from (f"{name}\t{summary}" for name, (_, summary) in COMMANDS.items())
        yield from ("help\texplain a command",) if not line.verb else ()
    else:
        yield from _operand_values(line, typed, context)


def _options(line: _Line) -> Iterator[str]:
    if not line.verb:
        yield from (f"{name}\t{about}" for name, about in _GLOBALS.items())
        return
    for action in _actions(line.parser):
        long = next((name for name in action.option_strings if name.startswith("--")), "")
        about = " ".join((action.help or "").split()).replace("%(default)s", str(action.default))
        if long and action.nargs == 0:
            yield f"{long}\t{about}"
        elif long:
            yield f"{long}=\t{about}"
    yield "--json\tanswers in JSON"


def _values(line: _Line, option: str, typed: str, context: Context) -> Iterator[str]:
    if option == "--ns":
        yield from _names("ns", context)
    elif option == "-C":
        yield DIRECTORIES
    elif (found := line.option(option)) is not None:
        yield from _kinds(found, typed, context)


def _operand_values(line: _Line, typed: str, context: Context) -> Iterator[str]:
    if line._verbs():
        yield from line._verbs()
    elif (found := line.operand()) is not None:
        if line.verb == "policy" and line.operands[:1] == ["check"]:
            yield FILES
        else:
            keys = _kinds(found, typed, context)
            yield from (key for key in keys if line.ended or not key.startswith("-"))


def _kinds(action: argparse.Action, typed: str, context: Context) -> Iterable[str]:
    """What a value can be, by its choices or the name that the help gives it."""
    name = action.metavar if isinstance(action.metavar, str) else ""
    if action.choices is not None:
        named = name.split("|") if "|" in name else []  # the others are not for people
        return [str(choice) for choice in action.choices if not named or choice in named]
    fixed: dict[str, list[str]] = {
        "DIR": [DIRECTORIES],
        "TIME": list(_TIMES),
        "TYPE": list(_TYPES),
        **{word: [FILES] for word in _FILES},
    }
    if name in fixed:
        return fixed[name]
    if name in _KEYS or name.endswith("KEY"):
        return _asked(_keys, typed, context)
    if "REV" in name or name in ("OID", "@SEQ|KEY@SEQ"):
        return _asked(_oids if name == "OID" else _states, typed, context)
    if name in ("NAME", "WHO"):
        return _names(action.dest, context)
    return []


def _asked(what: Ask, typed: str, context: Context) -> list[str]:
    """Answers of the store; none where there is no store, or anything is wrong with it."""
    try:
        with context.open_store() as store:
            return list(islice(what(store, typed), _SHOWN_MAX))
    except Exception:
        return []


def _keys(store: Store, typed: str) -> Iterator[str]:
    return (entry.key for entry in store.list(typed, limit=_SHOWN_MAX, read_from="local"))


def _states(store: Store, typed: str) -> Iterator[str]:
    if typed and not typed.startswith("@"):
        for entry in store.list(typed, limit=_SHOWN_MAX, read_from="local"):
            yield f"{entry.key}@{entry.mod}"
        return
    for logged in store.log(limit=_STATES_MAX, read_from="local"):
        yield f"@{logged.seq}\t{_subject(logged.text)}"


def _oids(store: Store, typed: str) -> Iterator[str]:
    for logged in store.log(limit=_STATES_MAX, read_from="local"):
        yield f"{logged.commit}\t@{logged.seq} {_subject(logged.text)}"


def _subject(text: str) -> str:
    from gitkv.cli.output import subject

    return subject(text)[:60]


def _names(option: str, context: Context) -> list[str]:
    """Remotes, principals or namespaces that this clone knows."""
    try:
        with context.open_replica() as replica:
            if option == "remote":
                return [name[7:-4] for name in replica.config if _REMOTE.fullmatch(name)]
            if option == "ns":
                refs = replica.git.run("for-each-ref", "--format=%(refname)", "refs/kv").stdout
                return [name.removeprefix("refs/kv/") for name in refs.decode().split()]
            from gitkv.client.policy import read_policy

            policy = read_policy(replica)
            return [] if policy is None else [entry.name for entry in policy.principals]
    except Exception:
        return []
