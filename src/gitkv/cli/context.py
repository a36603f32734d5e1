"""What a verb is told besides its own arguments: namespace, output form, and where it works."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager

from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from gitkv.client.preview import DryStore
    from gitkv.client.replica import Replica
    from gitkv.client.store import Store


class Context:
    """`directory` is where relative file names start; `repository` is where the store is looked
    for.
    """

    __slots__ = ("debug", "directory", "dry_run", "dry_store", "env", "json", "ns", "repository")

    def __init__(
        self, ns: str, flags: AbstractSet[str], directory: str, env: Mapping[str, str]
    ) -> None:
        self.ns = ns
        self.json = "--json" in flags
        self.debug = "--debug" in flags
        self.dry_run = False  # a write is looked at, and not done; `dry_store` then has the preview
        self.dry_store: DryStore | None = None
        self.directory = directory
        self.env = env
        # `git --git-dir=X kv …` reaches us as GIT_DIR: whoever finds the repository looks there
        self.repository = directory or "."

    def open_store(self, *, for_writing: bool = False) -> Store:
        """The store of the namespace; a writer's connection to Stargate starts before the rest is
        loaded. Raises as `Store.open`.
        """
        from gitkv.client.opening import begin

        opening = begin(self.repository, self.env, for_writing=for_writing and not self.dry_run)
        if self.dry_run:
            from gitkv.client.preview import DryStore

            self.dry_store = DryStore.begun(opening, ns=self.ns, env=self.env, warn=self.warn)
            return self.dry_store
        from gitkv.client.store import Store

        return Store.begun(opening, ns=self.ns, env=self.env, warn=self.warn)

    @contextmanager
    def open_replica(self) -> Iterator[Replica]:
        """The clone itself, for commands about it rather than its keys. Raises as
        `open_replica`.
        """
        from gitkv.client.host import Host
        from gitkv.client.replica import open_replica
        from gitkv.client.store import namespace_of

        replica = open_replica(self.repository, namespace_of(self.ns), Host(self.env, self.warn))
        try:
            yield replica
        finally:
            replica.close()

    def warn(self, text: str) -> None:
        """The store's way to speak without failing: a line on stderr, or a JSON object there."""
        from gitkv.model.address import redact

        text = redact(text)
        if self.json:
            from json import dumps

            say(dumps({"warning": text}))
        else:
            from gitkv.cli.output import safe

            say(f"warning: {safe(text)}")

    def path(self, name: str) -> str:
        """Where the file that the user calls `name` is."""
        return os.path.join(self.directory, name)

    def note(self, text: str) -> None:
        """Says something to a person, on stderr; programs that asked for JSON are left in peace."""
        if not self.json:
            say(text)


def make_context(ns: str | None, flags: AbstractSet[str], directories: Sequence[str]) -> Context:
    """Raises UsageError for a namespace that breaks the grammar or a directory that is none."""
    from gitkv.model.refs import parse_namespace

    try:
        valid_ns = parse_namespace((ns if ns is not None else "main").encode())
    except ValueError as error:
        raise UsageError(str(error)) from None
    directory = (
        os.path.join(*directories) if directories else ""
    )  # each -C counts from the one before, as in git
    if directory and not os.path.isdir(directory):
        raise UsageError(f"-C {directory!r} is not a directory")
    return Context(valid_ns, flags, directory, os.environ)


def say(text: str) -> None:
    """One line on stderr."""
    write_stderr(f"{text}\n")


def write_stderr(text: str) -> None:
    """Writes to stderr, which a program may have closed: what cannot be said changes no outcome."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        sys.stderr = None  # Python would try again at its end, and fail
