"""`git kv`: from the words of the command line to an exit code.

Nothing is imported before it is needed, and only the chosen command's parser is built: a `get` in a
loop pays for each import. Leaves to others: what a verb does (its file), how an error looks
(`failure`).
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gitkv.cli.context import Context

EXIT_USAGE = 129
EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = (
    141  # what a shell reports for a program that SIGPIPE ended, as other Unix filters do
)
_VALUED = {"--ns": "NAME", "-C": "DIR"}
_FLAGS = frozenset({"--json", "--debug", "--version"})


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command, by default the program's, and returns its exit code (docs/cli.md). Prints
    errors; raises nothing.
    """
    return run_program(sys.argv[1:]) if argv is None else _guarded(list(argv))


def run_program(words: list[str]) -> int:
    """A command in a process of its own, which ends with it: told to end, it leaves nothing
    behind.
    """
    import gc

    from gitkv.git import signals

    # Start-up makes many objects that stay, so look for garbage rarely, and not at all when the
    # process is about to end. Measured on `get`: 46 ms become 40.
    gc.set_threshold(20_000)
    number = 0
    try:
        signals.install()
        try:
            code = _guarded(words)
        finally:
            signals.no_more()
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except signals.Ended as told:
        code, number = 128 + told.number, told.number
    signals.no_more()
    if left := signals.children():
        from gitkv.git.process import TIDY_S, end_process

        for child in left:
            end_process(child, grace_s=TIDY_S)
    if number:
        signals.end_by(number)
    signals.bar()
    gc.freeze()
    return code


def _guarded(words: list[str]) -> int:
    try:
        code = _run(words)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        return _fail(error, words)


def split_globals(words: Sequence[str]) -> tuple[list[str], set[str], str | None, list[str]]:
    """The words without the global options, and these: flags, namespace, directories. Words after
    `--` are left alone.
    """
    rest: list[str] = []
    flags: set[str] = set()
    values: dict[str, list[str]] = {"--ns": [], "-C": []}
    queue = iter(words)
    for word in queue:
        if word == "--":
            rest += [word, *queue]
        elif word in _FLAGS:
            flags.add(word)
        elif word in _VALUED:
            values[word].append(_next_word(queue, word))
        elif word.startswith("--ns="):
            values["--ns"].append(word[5:])
        elif word.startswith("-C"):
            values["-C"].append(word[2:])
        else:
            rest.append(word)
    return rest, flags, values["--ns"][-1] if values["--ns"] else None, values["-C"]


def _run(words: list[str]) -> int:
    rest, flags, ns, directories = split_globals(words)
    if "--version" in flags:
        return _say_version()
    if not rest:
        from gitkv.cli.commands import overview

        sys.stderr.write(overview())
        return EXIT_USAGE
    if rest[0] in ("help", "-h", "--help"):
        return _help(rest[1:])
    from gitkv.cli.context import make_context

    return _run_verb(rest[0], rest[1:], make_context(ns, flags, directories))


def _run_verb(name: str, words: list[str], context: Context) -> int:
    from gitkv.cli.commands import load_parser

    if name == "stargate":  # a daemon ends in its own way
        from gitkv.git.signals import release

        release()
    parser, module = load_parser(name)
    try:
        args = parser.parse_args(words)
    except SystemExit as done:  # argparse, after --help
        return int(done.code or 0)
    context.dry_run = getattr(args, "dry_run", False)
    code: int = module.run(args, context)
    return code


def _say_version() -> int:
    from gitkv.version import __version__

    sys.stdout.write(f"git-kv {__version__}\n")
    return 0


def _help(names: list[str]) -> int:
    from gitkv.cli.commands import load_parser, overview

    sys.stdout.write(
        load_parser(names[0])[0].format_help()
        if names and not names[0].startswith("-")
        else overview()
    )
    return 0


def _next_word(queue: Iterator[str], option: str) -> str:
    word = next(queue, None)
    if word is None:
        from gitkv.errors import UsageError

        raise UsageError(f"option {option} needs a value: {_VALUED[option]}")
    return word


def _fail(error: Exception, words: list[str]) -> int:
    if isinstance(error, BrokenPipeError) and _reader_left():
        return _close_pipe()
    from gitkv.cli.failure import report

    before_operands = words[: words.index("--")] if "--" in words else words
    return report(error, as_json="--json" in before_operands, debug="--debug" in before_operands)


def _reader_left() -> bool:
    """Whether it is our standard output that broke, and not the pipe to a child."""
    if sys.stdout is None:
        return False
    from select import POLLERR, poll

    watch = poll()
    watch.register(sys.stdout.fileno(), 0)
    return any(events & POLLERR for _, events in watch.poll(0))


def _close_pipe() -> int:
    """The reader is gone, which is its right; without this Python would complain when it flushes at
    exit.
    """
    import os

    with open(os.devnull, "wb") as sink:
        os.dup2(sink.fileno(), sys.stdout.fileno())
    return EXIT_PIPE_CLOSED
