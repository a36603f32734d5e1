"""The parser of one verb's arguments, and the forms its values take: durations, object ids, counts.

`argparse` is kept, but told to fail as an error of ours, to take options after operands as git
does, and not to load `shutil`.
"""

from __future__ import annotations

import argparse
import os
import re
import sys

from gitkv.errors import UsageError
from gitkv.model.content import CTYPE
from gitkv.model.duration import TTL_S_MAX, parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from gitkv.client.store import Store

# An operand that is `--` itself, which argparse would take for another end of options; a NUL is in
# no word of a command line
_DASHES = "\0--"
_UNKNOWN = "unrecognized arguments: "
_OID = re.compile(r"[0-9a-f]{40}")
_SEQUENCE = re.compile(r"@(0|[1-9][0-9]{0,14})")
_COUNT = re.compile(r"[0-9]{1,9}")


class Parser(argparse.ArgumentParser):
    """Options may stand anywhere before `--`, their values may begin with a dash; errors are
    UsageErrors.
    """

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", _formatter)
        settings.setdefault(
            "allow_abbrev", False
        )  # an abbreviation in a script breaks when an option is added
        super().__init__(**settings)
        self._groups_verbs = False

    def add_subparsers(self, **settings: Any) -> Any:
        """As argparse does, and remembers that this parser only groups verbs."""
        self._groups_verbs = True
        return super().add_subparsers(**settings)

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Operands go last: before Python 3.13 `KEY --option VALUE` with an optional VALUE does not
        parse.
        """
        words = list(sys.argv[1:] if args is None else args)
        if self._groups_verbs:
            return super().parse_known_args(words, namespace)
        found, rest = super().parse_known_args(self._operands_last(words), namespace)
        for name, value in vars(found).items():
            if value == _DASHES:
                setattr(found, name, "--")
            elif isinstance(value, list):
                setattr(found, name, ["--" if word == _DASHES else word for word in value])
        return found, rest

    def error(self, message: str) -> NoReturn:
        """Raises UsageError, where argparse would print and exit."""
        usage = " ".join(self.format_usage().split()).removeprefix("usage: ")
        meant = self._meant(message)
        raise UsageError(
            f"{self.prog}: {message}",
            hint=f"{meant}\nusage: {usage}" if meant else f"usage: {usage}",
        )

    def _meant(self, message: str) -> str:
        """Advice for an unknown option in argparse's message; "" for another message."""
        words = message.removeprefix(_UNKNOWN).split()
        if not message.startswith(_UNKNOWN) or not words[0].startswith("-"):
            return ""
        from gitkv.cli.habits import option_for

        option = option_for(words[0], self._option_string_actions)
        return (
            f"did you mean {option}?" if option else "a word that begins with '-' goes after '--'"
        )

    def _operands_last(self, words: list[str]) -> list[str]:
        options: list[str] = []
        operands: list[str] = []
        queue = iter(words)
        for word in queue:
            if word == "--":
                operands += queue
            elif not word.startswith("-") or word == "-" or word[1].isdigit():
                operands.append(word)
            else:
                options += self._option(word, queue)
        operands = [_DASHES if word == "--" else word for word in operands]
        return [*options, "--", *operands] if operands else options

    def _option(self, word: str, queue: Any) -> list[str]:
        """The option with its value tied to it, so that the value may begin with a dash."""
        action = self._option_string_actions.get(word)
        if action is None and not self._is_option(word):
            self.error(f"{_UNKNOWN}{word}")  # argparse takes one with a space for an operand
        if action is None or action.nargs == 0:
            return [word]
        value = next(queue, None)
        long = next((name for name in action.option_strings if name.startswith("--")), "")
        if value is None:
            return [word]
        return [f"{long}={value}"] if long else [word, value]

    def _is_option(self, word: str) -> bool:
        """Whether the word begins with an option: `--name=value`, `-mvalue`."""
        name = word.partition("=")[0] if word.startswith("--") else word[:2]
        return name in self._option_string_actions


def _formatter(prog: str) -> argparse.HelpFormatter:
    columns = os.environ.get("COLUMNS", "")
    return argparse.RawDescriptionHelpFormatter(
        prog, width=min(max(int(columns), 60), 140) if _COUNT.fullmatch(columns) else 100
    )


def add_expiry(parser: Parser) -> None:
    """`--ttl` and `--expires`, of which one may be given."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--ttl", default=0, type=ttl, metavar="TIME", help="time to live: 90s, 45m, 12h, 30d, 2w"
    )
    group.add_argument(
        "--expires",
        default=0,
        type=moment,
        metavar="WHEN",
        help="when it expires: 2027-01-31 (UTC), 2027-01-31T12:00:00Z, or with an offset, +02:00",
    )


def add_state(parser: Parser) -> None:
    """Declares which state is read, and how fresh it has to be."""
    parser.add_argument(
        "--at", default="", metavar="REV", help="the state to read (default: the newest)"
    )
    parser.add_argument(
        "--read-from",
        default="mirror",
        choices=["mirror", "stargate", "local"],
        help="how fresh (default: mirror)",
    )


def add_message(parser: Parser) -> None:
    """`-m MSG`, which may be repeated as in git."""
    parser.add_argument(
        "-m",
        "--message",
        action="append",
        default=[],
        metavar="MSG",
        help="message of the commit; each -m is a paragraph",
    )


def add_write_options(parser: Parser) -> None:
    """What writes take: `-m MSG` and `--dry-run`."""
    add_message(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would change, and whether the policy lets it; write nothing",
    )


def message_of(args: argparse.Namespace) -> str:
    """The paragraphs of all -m, with an empty line between them; "" without any."""
    paragraphs = [text.strip("\n") for text in args.message]
    return "\n\n".join(text for text in paragraphs if text.strip())


def duration(text: str) -> int:
    """Seconds of `90s`, `45m`, `12h`, `30d` or `2w`. Raises ArgumentTypeError."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def ttl(text: str) -> int:
    """A time to live in seconds."""
    seconds = duration(text)
    if not 1 <= seconds <= TTL_S_MAX:
        raise argparse.ArgumentTypeError(f"expected 1s to {TTL_S_MAX // 86400}d, got {text[:60]!r}")
    return seconds


def moment(text: str) -> int:
    """A moment in seconds since 1970."""
    from gitkv.model.moment import FORMS, parse_moment

    seconds = parse_moment(text)
    if seconds is None:
        raise argparse.ArgumentTypeError(f"expected {FORMS}, got {text[:60]!r}")
    return seconds


def add_freshness(parser: Parser) -> None:
    """How new an answer must be."""
    parser.add_argument(
        "--at-least", type=sequence, default=0, metavar="@SEQ", help="wait for this transaction"
    )
    parser.add_argument(
        "--timeout",
        default=60,
        type=duration,
        metavar="TIME",
        help="how long --at-least waits (default: 60s)",
    )
    parser.add_argument(
        "--max-staleness",
        type=duration,
        metavar="TIME",
        help="fail rather than answer from a replica that was brought up to date longer ago",
    )


def require_freshness(store: Store, args: argparse.Namespace) -> None:
    """Waits for, or insists on, what `add_freshness` took. Raises MirrorTimeoutError."""
    if args.at_least or args.max_staleness is not None:
        store.require(
            at_least=args.at_least,
            staleness_max_s=args.max_staleness,
            read_from=args.read_from,
            timeout_s=float(args.timeout),
        )


def sequence(text: str) -> int:
    """An argument that is a sequence number, `@SEQ`. Raises ArgumentTypeError."""
    match = _SEQUENCE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected @ and a sequence number, got {text[:60]!r}")
    return int(match[1])


def past(text: str) -> int:
    """A moment in seconds since 1970, or how long ago it was."""
    try:
        ago_s = parse_duration(text)
    except ValueError:
        return moment(text)
    from time import time

    return int(time()) - ago_s


def oid(text: str) -> str:
    """An argument that is an object id, 40 hex digits. Raises ArgumentTypeError."""
    if _OID.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(
            f"expected an object id, 40 lower-case hex digits, got {text[:60]!r}"
        )
    return text


def count(text: str) -> int:
    """An argument that is a number of things. Raises ArgumentTypeError."""
    if _COUNT.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(f"expected a number, got {text[:60]!r}")
    return int(text)


def content_type(text: str) -> str:
    """An argument that is a content type. Raises ArgumentTypeError."""
    if CTYPE.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(
            f"expected 1 to 127 printable ASCII characters, got {text[:60]!r}"
        )
    return text
