"""What people who come from git, etcdctl, consul, sops or a shell type, and what it is called here.

Loaded only when a word is unknown.
"""

from __future__ import annotations

from difflib import get_close_matches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_COMMANDS = {
    "put": "set",
    "add": "set",
    "write": "set",
    "store": "set",
    "show": "get",
    "cat": "get",
    "read": "get",
    "view": "get",
    "print": "get",
    "cat-file": "get",
    "rm": "del",
    "delete": "del",
    "remove": "del",
    "unset": "del",
    "erase": "del",
    "ls": "list",
    "keys": "list",
    "scan": "list",
    "find": "list",
    "ls-files": "list",
    "ls-tree": "list --tree",
    "tree": "list --tree",
    "txn": "mset",
    "batch": "mset",
    "put-many": "mset",
    "versions": "history",
    "annotate": "blame",
    "who": "blame",
    "fsck": "verify",
    "audit": "verify",
    "check": "verify",
    "setup": "remote setup",
    "repair": "remote repair",
    "serve": "stargate serve",
    "undo": "revert",
    "reset": "revert",
    "rollback": "revert",
    "rename": "mv",
    "move": "mv",
    "copy": "cp",
    "exec": "env",
    "exec-env": "env",
    "template": "render",
}
_ADVICE = {
    "commit": "each write is a commit; several keys in one: 'git kv mset'",
    "push": "a write is sent at once; a standalone store is sent by git push with its own refspecs "
    "(docs/guide/standalone.md)",
    "pull": "reads bring the clone up to date by themselves (kv.maxAge); get has --read-from",
    "fetch": "reads bring the clone up to date by themselves (kv.maxAge); get has --read-from",
    "clone": "git clone ADDRESS, then in it: 'git kv remote setup'",
    "restore": "an earlier value: 'git kv get KEY --at REV'",
    "checkout": "an earlier value: 'git kv get KEY --at REV'",
    "config": "settings are git's: 'git config kv.maxAge 30s'",
    "version": "'git kv --version'",
}
_OPTIONS = {
    "--recurse": "--prefix",
    "-recurse": "--prefix",
    "--recursive": "--prefix",
    "-r": "--prefix",
    "--rev": "--at",
    "--revision": "--at",
    "--version-id": "--at",
    "--keys-only": "list",
    "--separator": "--delimiter",
    "--format": "--json",
    "--number": "--limit",
    "--max-count": "--limit",
    "--lease": "--ttl",
    "--expire": "--ttl",
    "--cas": "--if-match",
    "--data-file": "--file",
    "--nx": "--if-absent",
    "--output-file": "--output",
    "--all": "--prefix",
    "--print0": "--null",
}


def command_for(word: str, commands: Iterable[str]) -> str:
    """Advice for a word that is no command: one line, "" for none."""
    known = list(commands)
    habit = _COMMANDS.get(word.lower(), "")
    if habit.partition(" ")[0] in known:
        return f"did you mean 'git kv {habit}'?"
    if word.lower() in _ADVICE:
        return _ADVICE[word.lower()]
    near = get_close_matches(word.lower(), known, n=1) or get_close_matches(
        word.lower(), [name for name in _COMMANDS if _COMMANDS[name].split()[0] in known], 1, 0.85
    )
    if not near:
        return ""
    return f"did you mean 'git kv {_COMMANDS.get(near[0], near[0])}'?"


def option_for(word: str, options: Iterable[str]) -> str:
    """The option of a command that was meant by an unknown one, "" for none."""
    name, known = word.partition("=")[0], list(options)
    habit = _OPTIONS.get(name, "")
    if habit in known:
        return habit
    near = get_close_matches(name, [option for option in known if option.startswith("--")], n=1)
    return near[0] if near else ""
