"""The verbs of the command line: where each lives, and the line `git kv help` says of it.

A verb's module has `add_arguments(parser)` and `run(args, context) -> int`; it may have USAGE, the
words after `git kv`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from gitkv.cli.arguments import Parser

COMMANDS = {
    "init": ("gitkv.cli.init", "make a store in this repository"),
    "remote": ("gitkv.cli.remote", "connect this clone to its Stargate: remote setup"),
    "get": ("gitkv.cli.get", "print a key's value, bit for bit"),
    "set": ("gitkv.cli.set", "set one key"),
    "del": ("gitkv.cli.delete", "delete keys, all or none"),
    "mset": ("gitkv.cli.mset", "set and delete many keys in one transaction"),
    "edit": ("gitkv.cli.edit", "edit a key's value in an editor"),
    "mv": ("gitkv.cli.move", "give a key another name"),
    "cp": ("gitkv.cli.copy", "copy a key's value, also from an earlier state"),
    "revert": ("gitkv.cli.revert", "undo a transaction, or what it did to one key"),
    "cas": ("gitkv.cli.cas", "set a key only if it is as you saw it: cas set"),
    "expire": ("gitkv.cli.expire", "delete the keys whose time is over"),
    "list": ("gitkv.cli.list", "list keys in order"),
    "history": ("gitkv.cli.history", "show the versions of a key, newest first"),
    "diff": ("gitkv.cli.diff", "show the keys in which two states differ"),
    "log": ("gitkv.cli.log", "show the transactions, newest first"),
    "blame": ("gitkv.cli.blame", "show who set each key last, when and why"),
    "snapshot": ("gitkv.cli.snapshot", "write all keys as one portable text"),
    "import": ("gitkv.cli.import_", "set the keys of a snapshot, or of another format"),
    "stat": ("gitkv.cli.stat", "show all that is known of a key but its value"),
    "du": ("gitkv.cli.du", "show how much room values take"),
    "fetch": ("gitkv.cli.fetch", "bring the chunks of large values here, for work offline"),
    "export": ("gitkv.cli.export", "write all keys in a format of the neighbours"),
    "verify": ("gitkv.cli.verify", "re-verify the whole ledger, offline"),
    "watch": ("gitkv.cli.watch", "follow the transactions as they are accepted"),
    "wait": ("gitkv.cli.wait", "wait until a transaction can be read"),
    "whoami": ("gitkv.cli.whoami", "say who one writes as, what one may write, and where to"),
    "status": ("gitkv.cli.status", "say how far this clone is"),
    "doctor": ("gitkv.cli.doctor", "find what stands in the way, and say what mends it"),
    "policy": ("gitkv.cli.policy", "show, check or try out a policy: policy show, check, test"),
    "env": ("gitkv.cli.env", "run a program with keys in its environment: env -- COMMAND"),
    "render": ("gitkv.cli.render", "fill a template with values"),
    "completion": ("gitkv.cli.completion", "print or install the completion of a shell"),
    "manual": ("gitkv.cli.manual", "put the manual pages where man finds them"),
    "stargate": ("gitkv.cli.stargate", "run the gateway: stargate init, stargate serve"),
}

GLOBAL_OPTIONS = """\
Options of every command, before or after its name:
  --ns NAME    the namespace (default: main)
  --json       answers and errors in JSON, for programs
  -C DIR       work as if started in DIR
  --debug      show where an error came from
  --version    print the version
  -h, --help   help; after a command's name, help for it
"""


def load_parser(name: str) -> tuple[Parser, ModuleType]:
    """The parser and the module of one verb. Raises UsageError for a word that is none."""
    if name not in COMMANDS:
        raise _unknown(name)
    from importlib import import_module

    from gitkv.cli.arguments import Parser

    path, summary = COMMANDS[name]
    module = import_module(path)
    usage = f"git kv {getattr(module, 'USAGE', name + ' ...')}"
    parser = Parser(
        prog=f"git kv {name}",
        usage=usage,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=getattr(module, "NOTES", None),
    )
    module.add_arguments(parser)
    return parser, module


def overview() -> str:
    """What `git kv help` prints."""
    lines = [f"  {name:<12} {summary}\n" for name, (_, summary) in COMMANDS.items()]
    return (
        "usage: git kv [--ns NAME] [--json] [-C DIR] [--debug] COMMAND ...\n\nCommands:\n"
        + "".join(lines)
        + f"\n{GLOBAL_OPTIONS}\n'git kv help COMMAND' explains one command.\n"
    )


def _unknown(name: str) -> Exception:
    from gitkv.cli.habits import command_for, option_for
    from gitkv.errors import UsageError

    if name.startswith("-"):
        near = option_for(name, ("--ns", "--json", "--debug", "--version", "--help"))
        return UsageError(
            f"unknown option {name!r}",
            hint=f"did you mean {near}?" if near else "'git kv help' lists options and commands",
        )
    return UsageError(
        f"{name!r} is not a git kv command",
        hint=command_for(name, COMMANDS) or "'git kv help' lists the commands",
    )
