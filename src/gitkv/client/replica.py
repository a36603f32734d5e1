"""The repository on this machine: its trusted tip, its objects, its settings.

Trusted refs move here and nowhere else, and only forward. Where new tips come from is left to
`follow.py` and the writers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from gitkv.client.host import Host
from gitkv.client.opening import Opening, begin, push_url, stargate_remote
from gitkv.errors import ConflictError, GitKvError, IntegrityError, ToolError
from gitkv.git.forks import watch
from gitkv.git.object_store import GitObjectStore
from gitkv.git.process import DAMAGED, Git
from gitkv.git.ssh_pipe import SshPipe
from gitkv.ledger.compose import Tip, read_tip
from gitkv.ledger.seek import LedgerCommit, read_ledger_commit
from gitkv.model.heads import (
    ChunkHead,
    Heads,
    MissingHeadError,
    head_refs,
    heads_among,
    readable_refs,
)
from gitkv.model.key import encode_key
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.refs import Namespace, Ref, RefUpdate, ledger_ref
from gitkv.model.verdict import FormError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.client.content import Given
    from gitkv.client.push_line import PushLine
    from gitkv.model.content import Content
    from gitkv.model.policy import Policy

_TORN_READS_MAX = 100
_TORN_PAUSE_S = 0.005


class TornPairError(IntegrityError):
    """An index that is not the ledger's. git hosts move one ref after the other, so a pair may be
    whole a moment later.
    """


class Replica:
    """One namespace in one repository. Close it: it holds a git process."""

    def __init__(self, opening: Opening, ns: Namespace, host: Host) -> None:
        repository, self._pipe, self._key = opening
        self.repository = repository
        self.ns = ns
        self.host = host._replace(env=opening.environment(host.env))
        self.git = Git(repository.git_dir, env=self.host.env)
        self.objects = GitObjectStore(self.git)
        self._line: PushLine | None = None
        watch(self)
        self._chunk_objects: GitObjectStore | None = None
        self.is_to_follow = False  # a clone that is being set up, and does not say so yet
        self.policy_read: tuple[bytes, Policy] | None = None  # its text, and what it says

    @property
    def config(self) -> dict[str, str]:
        """The last value of each git setting, by name."""
        return self.repository.config

    @property
    def config_all(self) -> dict[str, tuple[str, ...]]:
        """All values of each git setting, by name, in order."""
        return self.repository.config_all

    @property
    def remote(self) -> str:
        """The remote that a Stargate serves; "" in a standalone store. `git kv remote
        setup` writes it.
        """
        return stargate_remote(self.config)

    @property
    def push_url(self) -> str:
        """The address that writes go to; "" for none."""
        return push_url(self.config)

    @property
    def is_standalone(self) -> bool:
        """Whether `git kv init` made the store here; a clone of it does not inherit that."""
        return not self.remote and self.config.get(f"kv.{self.ns}.standalone") == "true"

    @property
    def directory(self) -> str:
        """Where files of ours live beside git's."""
        return os.path.join(self.repository.common_dir, "kv")

    def content_of(self, key: str, value: Given) -> bytes | Content:
        """A value as a caller gave it, so that it can be read again. Raises UsageError, OSError."""
        if isinstance(value, bytes):
            return value
        from gitkv.client.content import content_of  # most values are bytes

        encode_key(key)  # nobody waits for a pipe in vain
        return content_of(value, self.repository.common_dir, f"value of {key}")

    def load(self, oid: Oid, kind: bytes) -> bytes:
        """A Load of the rules."""
        return self.objects.read(oid, kind)

    def heads(self) -> Heads | None:
        """The trusted heads as the refs say, None when there is no ledger. Raises IntegrityError
        when one stands without the other.
        """
        heads = self._heads_of_refs()
        if heads is None or self.keeps_chunks:
            return heads
        from gitkv.client.trust.receipt import chunk_head, receipt_ref  # of no use to readers

        receipt = self.read_refs([receipt_ref(self.ns)]).get(receipt_ref(self.ns))
        return heads._replace(chunks=chunk_head(heads, receipt, self.load))

    @property
    def keeps_chunks(self) -> bool:
        """Whether the chunk store is here as a ref, with all that it reaches. A clone fetches of it
        what it needs.
        """
        return not (self.remote or self.is_to_follow)

    @property
    def has_all_chunks(self) -> bool:
        """Whether every chunk of the store is meant to be here."""
        return self.keeps_chunks or self.config.get("kv.allchunks") == "true"

    def _heads_of_refs(self) -> Heads | None:
        refs = self.read_refs(self._refs())
        try:
            return heads_among(refs, self.ns)
        except MissingHeadError as error:
            ledger = refs.get(ledger_ref(self.ns))
            if ledger is None or not self._complete_move(ledger, None, None):
                raise self.trouble() or IntegrityError(str(error), hint=DAMAGED) from None
        return heads_among(self.read_refs(self._refs()), self.ns)

    def _refs(self) -> tuple[Ref, ...]:
        return readable_refs(self.ns) if self.keeps_chunks else head_refs(self.ns)

    def read_refs(self, names: Sequence[Ref]) -> dict[Ref, Oid]:
        """Those of these refs that are there."""
        found = self.objects.resolve([os.fsdecode(name) for name in names])
        return {name: oid for name, oid in zip(names, found, strict=True) if oid is not None}

    def ledger(self) -> LedgerCommit:
        """The trusted ledger commit, for readers: it names the index tree, so the index ref is not
        needed. Raises ToolError without one.
        """
        [oid] = self.objects.resolve([os.fsdecode(ledger_ref(self.ns))])
        if oid is None:
            raise self.no_ledger()
        try:
            return read_ledger_commit(oid, self.load)
        except FormError as error:
            raise IntegrityError(f"the tip of {self.ns} is not a ledger commit: {error}") from None

    def tip(self) -> Tip:
        """The trusted tip. Raises ToolError when there is no ledger, IntegrityError when ledger and
        index do not belong together.
        """
        heads = self.heads()
        for _ in range(_TORN_READS_MAX):
            if heads is None:
                raise self.no_ledger()
            try:
                return self.read_pair(heads)
            except TornPairError as problem:
                # git moves one ref file after the other: a reader may come between. Only a pair
                # that stays is wrong.
                self.host.sleep(_TORN_PAUSE_S)
                before, heads = heads, self.heads()
                if heads != before:
                    continue
                if not self._complete_move(*before):
                    problem.hint = DAMAGED
                    raise
                heads = self.heads()
        raise IntegrityError(f"the refs of {self.ns} never came to rest")

    def read_pair(self, heads: Heads) -> Tip:
        """The tip these heads make. Raises TornPairError when the index is not the ledger's,
        IntegrityError for another namespace.
        """
        try:
            tip = read_tip(heads, self.load, with_chunks=self.keeps_chunks)
        except FormError as error:
            raise TornPairError(
                f"ledger {heads.ledger.hex()} and index {heads.index_oid.hex()} do not belong "
                f"together: {error}"
            ) from None
        if tip.ns != self.ns:
            raise IntegrityError(
                f"ledger {heads.ledger.hex()} belongs to namespace {tip.ns}, expected {self.ns}"
            )
        return tip

    def move(self, before: Heads | None, after: Heads, also: Sequence[RefUpdate] = ()) -> bool:
        """Moves both trusted refs, and others with them, as one; False when one is no longer where
        it was. Raises BusyError when another process locks them.

        The others come first: where git is cut short between two, what proves a head is there
        before it.
        """
        moves = after.move_from(before, self.ns)
        return self.move_refs([*also, *(moves if self.keeps_chunks else moves[:2])])

    def move_refs(self, updates: Sequence[RefUpdate]) -> bool:
        """Moves refs as one; False when one is no longer where it was. Raises BusyError."""
        if not updates:
            return True
        from gitkv.git.ref_store import GitRefStore

        try:
            GitRefStore(self.git).move(updates)
        except ConflictError:  # another process came first
            return False
        return True

    def _complete_move(self, ledger: Oid, index: Oid | None, chunks: ChunkHead | None) -> bool:
        from gitkv.client.mend import Half, complete_move  # after a crash only

        half = Half(ledger, index, chunks if self.keeps_chunks else None, self.keeps_chunks)
        return complete_move(self.git, self.ns, half, self.load)

    def has_commit(self, oid: Oid) -> bool:
        """Whether this commit is in the repository."""
        return list(self.objects.kinds([oid])) == [COMMIT]

    def no_ledger(self) -> GitKvError:
        """The error for a namespace without a ledger, with advice for this repository: a ref that
        cannot be read is no missing one.
        """
        if (trouble := self.trouble()) is not None:
            return trouble
        cloned = any(name.startswith("remote.") for name in self.config)
        hint = "run: git kv remote setup" if self.remote else "create one with: git kv init"
        if cloned and not self.remote:
            hint = (
                "in a clone of a store run: git kv remote setup; to start a store of your own: git "
                "kv init"
            )
        return ToolError(f"namespace {self.ns} has no ledger in this repository", hint=hint)

    def trouble(self) -> IntegrityError | None:
        """What is wrong with heads that were not found; None when there never were any."""
        from gitkv.git import lost_refs  # only on the way out

        there = self.read_refs(head_refs(self.ns))
        gone = [ref for ref in head_refs(self.ns) if ref not in there]
        found = [lost_refs.trouble(self.git, ref) for ref in gone]
        if any(found) or not gone or not self.is_standalone:
            return next((problem for problem in found if problem is not None), None)
        return IntegrityError(
            f"{os.fsdecode(gone[0])} is gone: git kv init has made a store here",
            hint="restore the repository from a copy; git fsck --lost-found shows the last commits "
            f"here\nto begin a new store instead: git config --unset kv.{self.ns}.standalone",
        )

    def take_pipe(self) -> SshPipe | None:
        """The connection that was begun with the command, for the first write to use; None when
        there is none, or it was taken.
        """
        pipe, self._pipe = self._pipe, None
        return pipe

    def chunk_objects(self) -> GitObjectStore:
        """The same objects for a reader of chunks: what is missing is missing, and not fetched by
        git, one by one.
        """
        if self._chunk_objects is None:
            # of no use to whoever reads a small value
            from gitkv.git.partial import LITTLE_MAPPED, NEVER_LAZY

            git = self.git.with_extra(NEVER_LAZY).with_settings(*LITTLE_MAPPED)
            self._chunk_objects = GitObjectStore(git)
        return self._chunk_objects

    def take_line(self) -> PushLine | None:
        """The line of an earlier write, if Stargate has not hung up meanwhile."""
        line, self._line = self._line, None
        if line is not None and line.is_over():
            line.close()
            return None
        return line

    def keep_line(self, line: PushLine) -> None:
        """Keeps a line for the next write."""
        line.is_kept = True
        self._line = line

    def after_fork(self) -> None:
        """Lets go of the other process's connections."""
        line, self._line = self._line, None
        pipe = self.take_pipe()
        for other in (line, pipe):
            if other is not None:
                other.let_go()

    def close(self) -> None:
        """Ends the git process and the connections that nobody uses."""
        line, self._line = self._line, None
        pipe = self.take_pipe()
        for unused in (line, pipe):
            if unused is not None:
                unused.close()
        self.objects.close()
        if self._chunk_objects is not None:
            self._chunk_objects.close()
        self._key = None  # ends its agent

    def __del__(self) -> None:
        line = getattr(self, "_line", None)
        if line is not None:
            line.close()  # never closed


def open_replica(path: str, ns: Namespace, host: Host) -> Replica:
    """Raises ToolError when there is no repository around `path`."""
    return Replica(begin(path, host.env), ns, host)
