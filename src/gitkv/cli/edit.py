"""`git kv edit`: a key's value in the editor that git would use."""

from __future__ import annotations

import os

from gitkv.cli.arguments import add_write_options, message_of
from gitkv.cli.written import put_written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.store import Store
    from gitkv.client.values import Expect

USAGE = "edit KEY [--dry-run] [-m MSG]"
NOTES = """\
The editor is git's: GIT_EDITOR, core.editor, VISUAL, EDITOR, or vi. Type and expiry stay; a key
that does not exist is made. A line end that the editor adds to a value without one is taken off.
Exit code 2: the key has changed meanwhile; the text is kept, and its file is named."""
_SUFFIXES = {"application/json": ".json", "application/yaml": ".yaml", "text/markdown": ".md"}


def add_arguments(parser: Parser) -> None:
    """Declares the key."""
    parser.add_argument("key", metavar="KEY")
    add_write_options(parser)


def run(args: Namespace, context: Context) -> int:
    """Has a value edited, and sets it; returns the exit code."""
    from gitkv.errors import GitKvError, UsageError

    with context.open_store(for_writing=True) as store:
        from gitkv.model.content import Put

        value, ctype, expires, expect = _present(store, args.key)
        path, edited = _edited(store, value, ctype, context)
        if expect.if_absent and not edited:
            _remove(path)
            raise UsageError(f"nothing was entered: {args.key} does not exist, and stays so")
        try:
            put = {args.key: Put(edited, ctype, expires)}
            written = store.write(put, expect=expect, message=message_of(args))
        except GitKvError as error:
            if edited != value:
                error.hint = f"{error.hint}\nyour text is kept in {path}".strip()
                raise
            _remove(path)
            raise
        _remove(path)
    return put_written(written, context)


def _present(store: Store, key: str) -> tuple[bytes, str, int, Expect]:
    """The value, its type and expiry, and what must still hold of the key when it is set."""
    from gitkv.client.values import Expect
    from gitkv.errors import ExpiredError, KeyNotFoundError

    try:
        found = store.value(key)
    except (KeyNotFoundError, ExpiredError):
        return b"", "", 0, Expect(if_absent=True)
    return found.value, found.ctype, found.expires, Expect(if_match=found.etag)


def _edited(store: Store, value: bytes, ctype: str, context: Context) -> tuple[str, bytes]:
    """The file that the editor had, and the value that is in it now."""
    from tempfile import mkstemp

    from gitkv.git.editor import run_editor

    handle, path = mkstemp(prefix="git-kv-", suffix=_SUFFIXES.get(ctype, ".txt"))
    with open(handle, "wb") as stream:
        stream.write(value)
    try:
        run_editor(path, store.setting("core.editor"), context.env)
        with open(path, "rb") as stream:
            edited = stream.read()
    except BaseException:
        _remove(path)
        raise
    ended = edited.endswith(b"\n") and not value.endswith(b"\n")
    return path, edited[:-1] if ended else edited


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)
