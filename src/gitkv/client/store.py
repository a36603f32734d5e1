"""The store: one namespace of one repository, as Python programs and the command line see it.

A façade: each method hands over to the use case of its name. Keys are text, values are bytes, ids
are hex.
"""

from __future__ import annotations

import os
from collections.abc import (
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from types import TracebackType

from gitkv.client.editing import StoreEditing
from gitkv.client.host import Host, warn_in_python
from gitkv.client.refresh import MIRROR, refresh
from gitkv.client.replica import Replica, open_replica
from gitkv.client.state import fresh_state
from gitkv.client.values import Expect, Written
from gitkv.errors import UsageError
from gitkv.git.forks import ForkLock
from gitkv.model.content import Put
from gitkv.model.environment import without_location
from gitkv.model.refs import Namespace, parse_namespace
from gitkv.reading.answers import Changed, Entry, Logged, Revision, Stored, Value
from gitkv.reading.lookup import list_entries, read_entry, read_stored, read_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import BufferedReader
    from typing import Self

    from gitkv.client.content import Given
    from gitkv.client.draft import Draft
    from gitkv.client.opening import Opening
    from gitkv.client.transaction import Tx
    from gitkv.model.content import Content
    from gitkv.verifying.history import Verified

__all__ = [
    "Changed",
    "Entry",
    "Expect",
    "Logged",
    "Put",
    "Revision",
    "Store",
    "Stored",
    "Value",
    "Written",
    "host_for",
    "namespace_of",
]

_NOTHING_EXPECTED = Expect()


class Store(StoreEditing):
    """Made by `Store.open`; close it, or use it as a context. It is a mutable mapping from keys to
    values, in which an expired key is absent.

    Threads may share it: writes take turns. After a fork, parent and child may both go on with it.

    `read_from` of the reading methods: "mirror" (the local replica, refreshed when older than
    kv.maxAge), "stargate" (asks the authority) or "local" (never touches the network). In a
    standalone store "mirror" and "local" are the same. `at`: "" for the tip, "@SEQ", a commit (7
    hex digits or more), or the epoch's label.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._writing = ForkLock()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] = ".",
        *,
        ns: str = "main",
        env: Mapping[str, str] | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> Store:
        """The store in the repository around `path`. `env`: what children start from, the process's
        own when None; `warn` takes one line.

        GIT_DIR and GIT_WORK_TREE of a surrounding hook do not count: the path says where. Raises
        ToolError when there is no repository, UsageError for a namespace that cannot be.
        """
        host = host_for(without_location(os.environ if env is None else env), warn)
        return cls(open_replica(os.fspath(path), namespace_of(ns), host))

    @classmethod
    def begun(
        cls, opening: Opening, *, ns: str, env: Mapping[str, str], warn: Callable[[str], None]
    ) -> Self:
        """The store of a command that has begun already (`opening.begin`)."""
        return cls(Replica(opening, namespace_of(ns), host_for(env, warn)))

    @property
    def is_team(self) -> bool:
        """Whether a remote with a Stargate is set up; else the repository is the whole database."""
        return bool(self._replica.remote)

    @property
    def ns(self) -> str:
        """The name of the namespace."""
        return self._replica.ns

    def setting(self, name: str) -> str:
        """A git setting of the repository, its section and last part in lower case; "" for none."""
        return self._replica.config.get(name, "")

    # Reading

    def value(
        self, key: str, *, at: str = "", read_from: str = MIRROR, allow_expired: bool = False
    ) -> Value:
        """A key's value with all that is known of it. Raises KeyNotFoundError, ExpiredError,
        KeyInvalidError, IntegrityError, UnavailableError.
        """
        state = fresh_state(self._replica, read_from)
        return read_value(state, key, at, allow_expired=allow_expired)

    def stored(
        self, key: str, *, at: str = "", read_from: str = MIRROR, allow_expired: bool = False
    ) -> Stored:
        """A key's value to be read piece by piece, as a whole or in part; chunks that are not here
        are fetched when they are read. Raises as `value`.
        """
        state = fresh_state(self._replica, read_from)
        return read_stored(state, key, at, allow_expired=allow_expired)

    def open_value(
        self, key: str, *, at: str = "", read_from: str = MIRROR, allow_expired: bool = False
    ) -> BufferedReader:
        """A key's value as a binary file that can be sought in; what is read of it is proved, and
        fetched when it is not here. Raises as `value`, and so does reading.
        """
        from gitkv.reading.value_file import open_content

        found = self.stored(key, at=at, read_from=read_from, allow_expired=allow_expired)
        return open_content(found.content)

    def entry(
        self, key: str, *, at: str = "", read_from: str = MIRROR, allow_expired: bool = False
    ) -> Entry:
        """What the index says of a key; the value is not read. Raises as `value`."""
        state = fresh_state(self._replica, read_from)
        return read_entry(state, key, at, allow_expired=allow_expired)

    def list(
        self,
        prefix: str = "",
        *,
        after: str = "",
        limit: int | None = None,
        at: str = "",
        read_from: str = MIRROR,
        allow_expired: bool = False,
    ) -> Iterator[Entry]:
        """Keys that start with `prefix` and come after `after`, in order, expired ones only if
        allowed; the cost grows with the answer only.
        """
        state = fresh_state(self._replica, read_from, allow_expired=allow_expired)
        return list_entries(state, prefix, after=after, limit=limit, at=at)

    def refresh(self, read_from: str = MIRROR) -> None:
        """Brings the local replica up to date. Raises IntegrityError for a rewound or forked
        history, UnavailableError.
        """
        refresh(self._replica, read_from)

    def wait(self, oid: str, *, visible_on: str = MIRROR, timeout_s: float = 60.0) -> None:
        """Returns once ledger commit `oid` is visible there. Raises MirrorTimeoutError, and
        PolicyError when the gateway has undone it.
        """
        from gitkv.client.wait import wait_for

        wait_for(self._replica, oid, visible_on, timeout_s)

    def require(
        self,
        *,
        at_least: int = 0,
        staleness_max_s: int | None = None,
        read_from: str = MIRROR,
        timeout_s: float = 60.0,
    ) -> None:
        """Returns once the local replica has sequence number `at_least`, and, with
        `staleness_max_s`, when a remote was looked at within these seconds, or can be now. Raises
        MirrorTimeoutError rather than let an older answer be given.
        """
        from gitkv.client.reach import reach, require_fresh

        if staleness_max_s is not None:
            require_fresh(self._replica, staleness_max_s, read_from)
        if at_least:
            reach(self._replica, at_least, read_from, timeout_s)

    def verify(
        self,
        since: str = "",
        to: str = "",
        *,
        anchors: Sequence[str] = (),
        with_chunks: bool = True,
    ) -> Verified:
        """Re-verifies the ledger from raw objects, offline; `since`: a revision whose state is
        trusted. `anchors`: gateway key fingerprints, receipts and commits (whole ids) that the
        history must have. What is wrong is in `reasons`, what could not be judged in `unjudged`;
        without `with_chunks` the chunks of large values are not looked at (`chunks_unread`).

        Raises UsageError for a revision that is not in the ledger or for an invalid anchor,
        ToolError when there is no ledger.
        """
        from gitkv.client.verify import verify

        return verify(self._replica, since, to, anchors, with_chunks=with_chunks)

    # Writing

    def set(
        self,
        key: str,
        value: Given,
        *,
        ctype: str = "",
        ttl_s: int = 0,
        expect: Expect = _NOTHING_EXPECTED,
        message: str = "",
    ) -> Written:
        """Sets one key, for `ttl_s` seconds, or for ever (0), to bytes, or to what is read of a
        path or a binary file from where it stands. Raises ConflictError, RejectedError,
        UnavailableError, UsageError, OSError.
        """
        put = Put(self.content(key, value), ctype, self.expiry(ttl_s))
        return self.write({key: put}, expect=expect, message=message)

    def content(self, key: str, value: Given) -> bytes | Content:
        """The `value` of a Put for this key, from a path or a binary file. Raises KeyInvalidError,
        UsageError, OSError.
        """
        return self._replica.content_of(key, value)

    def expiry(self, ttl_s: int = 0, expires: int = 0) -> int:
        """The `expires` of a Put that is to live `ttl_s` seconds from now, or until `expires`, a
        moment to come in seconds since 1970; 0, for ever, without both. Raises UsageError.
        """
        from gitkv.client.draft import expiry

        return expiry(ttl_s, expires, self._replica.host.now_s())

    def delete(
        self, keys: Sequence[str], *, message: str = "", missing_ok: bool = False
    ) -> Written:
        """Deletes keys, all or none. Raises KeyNotFoundError when one does not exist, unless
        `missing_ok`.
        """
        if isinstance(keys, str):
            raise UsageError(
                "delete: expected a list of keys, got one string", hint=f"write [{keys!r}]"
            )
        from gitkv.client.draft import make_draft

        return self._write(
            make_draft(dict.fromkeys(keys), _NOTHING_EXPECTED, message, must_exist=not missing_ok)
        )

    def write(
        self,
        changes: Mapping[str, Put | None],
        *,
        expect: Expect = _NOTHING_EXPECTED,
        message: str = "",
    ) -> Written:
        """One transaction: sets, and deletes where the change is None; deleting what is not there
        changes nothing. Raises as `set`.
        """
        from gitkv.client.draft import make_draft

        return self._write(make_draft(changes, expect, message))

    def expire(self, prefix: str = "", *, message: str = "") -> Iterator[Written]:
        """Deletes the keys that start with `prefix` and have expired, in as few transactions as the
        policy lets; gives each when it is made. Raises as `delete`.
        """
        from gitkv.client.expire import drafts_to_expire

        state = fresh_state(self._replica, MIRROR)
        return map(self._write, drafts_to_expire(self._replica, state, prefix, message))

    def transaction(self, message: str = "") -> Tx:
        """A context that gathers changes and makes one commit at its end; nothing happens if its
        body raises.
        """
        from gitkv.client.transaction import Tx

        return Tx(self._replica, message, self._write)

    def _write(self, draft: Draft) -> Written:
        with self._writing:
            if self.is_team:
                from gitkv.client.team import write_team

                return write_team(self._replica, draft)
            from gitkv.client.standalone import write_standalone

            return write_standalone(self._replica, draft)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a store cannot be pickled or copied: open one where it is used")

    def close(self) -> None:
        """Ends the git process that the store holds; it starts again when needed."""
        self._replica.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def host_for(env: Mapping[str, str] | None, warn: Callable[[str], None] | None = None) -> Host:
    """The world as it is. A program that opens a store without naming an environment means its
    own.
    """
    return Host(os.environ if env is None else env, warn or warn_in_python)


def namespace_of(text: str) -> Namespace:
    """Raises UsageError when `text` is not a namespace."""
    try:
        return parse_namespace(text.encode("utf-8", "replace"))
    except ValueError as error:
        raise UsageError(str(error)) from None
