"""`git kv completion SHELL`: the shell's script, printed or put where the shell looks for it."""

from __future__ import annotations

import os
from argparse import SUPPRESS

from gitkv.cli.output import put_json, put_line, put_lines, safe, stdout, write_file
from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = "completion bash|zsh|fish [--install]"
NOTES = """\
Prints the script, for `eval` or a file; with --install puts it where the shell finds it by itself,
and says what else it takes. Commands, options and their values, keys and states are completed,
without the network."""
SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: Parser) -> None:
    """Declares the shell; the scripts themselves ask for `words`."""
    parser.add_argument("shell", choices=[*SHELLS, "words"], metavar="bash|zsh|fish")
    parser.add_argument("words", nargs="*", help=SUPPRESS)
    parser.add_argument(
        "--install", action="store_true", help="write it to where the shell looks for it"
    )


def run(args: Namespace, context: Context) -> int:
    """Prints or installs a script, or completes a word; returns the exit code."""
    if args.shell == "words":
        from gitkv.cli.complete import candidates

        # each has `=` before it, so that none is read as an option or the end of options
        words = [word.removeprefix("=") for word in args.words]
        put_lines(candidates(words or [""], context))
        return 0
    if args.words:
        raise UsageError(f"expected one shell, got {args.words[0]!r} more")
    from importlib.resources import files

    script = files("gitkv.cli").joinpath(f"git-kv-completion.{args.shell}").read_bytes()
    if not args.install:
        stdout().write(script)
        return 0
    path, advice = _place(args.shell, context)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_file(path, [script])
    if context.json:
        put_json({"shell": args.shell, "file": path, "advice": advice})
        return 0
    put_line(safe(path))
    context.note(f"hint: {advice}")
    return 0


def _place(shell: str, context: Context) -> tuple[str, str]:
    """Where a person's own completions live, and what makes the shell look there."""
    env = context.env
    home = env.get("HOME", "")
    if not home:
        raise UsageError("HOME is not set: print the script, and put it where the shell looks")
    data = env.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    if shell == "bash":
        folder = env.get("BASH_COMPLETION_USER_DIR") or os.path.join(data, "bash-completion")
        advice = "a new shell finds it, with the package bash-completion and git's completion"
        return os.path.join(folder, "completions", "git-kv"), advice
    if shell == "fish":
        config = env.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
        return os.path.join(config, "fish", "conf.d", "git-kv.fish"), "a new shell finds it"
    folder = os.path.join(data, "zsh", "site-functions")
    advice = f"in ~/.zshrc, before compinit: fpath=({folder} $fpath)"
    return os.path.join(folder, "_git-kv"), advice
