"""Reading more than one key of a store: many values, groups of keys, histories and differences.

Left to others: single keys and writing (`store.py`), the rules of reading (`reading/`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gitkv.client.mapping import StoreMapping
from gitkv.client.refresh import MIRROR
from gitkv.client.state import fresh_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.client.watch import Happened
    from gitkv.model.content import Put
    from gitkv.reading.answers import (
        Changed,
        Differing,
        Entry,
        Logged,
        Only,
        Revision,
        Stored,
        Value,
        Viewed,
    )
    from gitkv.reading.blame import Blamed
    from gitkv.reading.groups import Group
    from gitkv.reading.usage import Brought, Used


class StoreBrowsing(StoreMapping):
    """The part of `Store` that reads many keys, or many states. `at` and `read_from` as there."""

    def values_of(
        self,
        keys: Sequence[str],
        *,
        at: str = "",
        read_from: str = MIRROR,
        allow_expired: bool = False,
    ) -> Iterator[Value]:
        """The values of several keys, all from one state, in the order asked. Raises as `value`,
        and before the first value when a key is missing.
        """
        from gitkv.reading.lookup import read_values

        state = fresh_state(self._replica, read_from)
        return read_values(state, keys, at, allow_expired=allow_expired)

    def values_under(
        self, prefix: str, *, at: str = "", read_from: str = MIRROR, allow_expired: bool = False
    ) -> Iterator[Value]:
        """The values of all keys that start with `prefix`, expired ones only if allowed, from one
        state, in order.
        """
        from gitkv.reading.lookup import read_prefix

        state = fresh_state(self._replica, read_from, allow_expired=allow_expired)
        return read_prefix(state, prefix, at)

    def view(
        self,
        prefix: str = "",
        *,
        at: str = "",
        read_from: str = MIRROR,
        allow_expired: bool = False,
    ) -> tuple[Viewed, Iterator[Value]]:
        """Which state is read, and `values_under` of it: what a snapshot needs."""
        from gitkv.reading.answers import Viewed
        from gitkv.reading.lookup import read_prefix

        state = fresh_state(self._replica, read_from, at=at, allow_expired=allow_expired)
        return Viewed(state.tip.oid.hex(), state.tip.seq), read_prefix(state, prefix)

    def compare(self, puts: Mapping[str, Put], *, read_from: str = MIRROR) -> dict[str, int]:
        """How many keys these puts would make ("new"), change ("changed") and leave ("same")."""
        from gitkv.reading.compare import compare_puts

        return compare_puts(fresh_state(self._replica, read_from), puts)

    def stored_of(
        self,
        keys: Sequence[str],
        *,
        at: str = "",
        read_from: str = MIRROR,
        allow_expired: bool = False,
    ) -> Iterator[Stored]:
        """As `values_of`, to be read piece by piece."""
        from gitkv.reading.lookup import read_all_stored

        state = fresh_state(self._replica, read_from)
        return read_all_stored(state, keys, at, allow_expired=allow_expired)

    def stored_under(
        self, prefix: str, *, at: str = "", read_from: str = MIRROR, allow_expired: bool = False
    ) -> Iterator[Stored]:
        """As `values_under`, to be read piece by piece."""
        from gitkv.reading.lookup import read_prefix_stored

        state = fresh_state(self._replica, read_from, allow_expired=allow_expired)
        return read_prefix_stored(state, prefix, at)

    def found(
        self, keys: Sequence[str], *, at: str = "", read_from: str = MIRROR
    ) -> dict[str, bytes]:
        """The values of those keys that exist and have not expired, all from one state."""
        from gitkv.reading.lookup import read_found

        state = fresh_state(self._replica, read_from)
        return {value.key: value.value for value in read_found(state, keys, at)}

    def groups(
        self,
        prefix: str = "",
        delimiter: str = ":",
        *,
        after: str = "",
        at: str = "",
        read_from: str = MIRROR,
        allow_expired: bool = False,
    ) -> Iterator[Entry | Group]:
        """As `list`, but keys with `delimiter` after the prefix stand together as a Group, which
        costs one step, however many keys it holds.
        """
        from gitkv.reading.groups import list_groups

        state = fresh_state(self._replica, read_from, allow_expired=allow_expired)
        return list_groups(state, prefix, delimiter, after=after, at=at)

    def expired(self, prefix: str = "", *, read_from: str = MIRROR) -> Iterator[Entry]:
        """Keys that start with `prefix` and have expired, in order. Reads every page of the
        index below the prefix, and parses only what has expired.
        """
        from gitkv.reading.expired import expired_entries

        return expired_entries(fresh_state(self._replica, read_from), prefix)

    def history(self, key: str, *, limit: int | None = None, at: str = "") -> Iterator[Revision]:
        """A key's versions, newest first, deletions included; empty for a key that never was."""
        from gitkv.reading.history import history_of

        return history_of(fresh_state(self._replica, MIRROR, at=at), key, limit)

    def log(
        self,
        *,
        limit: int | None = None,
        only: Only | None = None,
        at: str = "",
        read_from: str = MIRROR,
    ) -> Iterator[Logged]:
        """Transactions, newest first; `only`: those that it describes."""
        from gitkv.reading.answers import Only
        from gitkv.reading.history import log_of

        return log_of(fresh_state(self._replica, read_from, at=at), limit, only or Only())

    def usage(self, prefix: str = "", *, at: str = "", read_from: str = MIRROR) -> Iterator[Used]:
        """How much room the values of the unexpired keys take that start with `prefix`."""
        from gitkv.reading.usage import usage

        return usage(fresh_state(self._replica, read_from), prefix, at)

    def fetch_chunks(self, prefix: str = "", *, at: str = "", read_from: str = MIRROR) -> Brought:
        """Fetches what is missing here of the large values of the unexpired keys that start with
        `prefix`, for work without a network. Raises UnavailableError, IntegrityError.
        """
        from gitkv.reading.usage import bring_chunks

        return bring_chunks(fresh_state(self._replica, read_from), prefix, at)

    def watch(
        self, since: str = "", *, prefix: str = "", read_from: str = MIRROR
    ) -> Iterator[Happened]:
        """The transactions after `since` (a revision; "": the newest one now), in order, each once;
        then waits for the next ones, without end. With `prefix`, those that changed a key under it.

        `@SEQ` may be one that the remote does not show yet. Raises UsageError, IntegrityError.
        """
        from gitkv.client.watch import first_of, watch

        seq = first_of(fresh_state(self._replica, read_from), since)
        return watch(self._replica, seq, prefix, read_from)

    def blame(self, prefix: str = "", *, at: str = "", read_from: str = MIRROR) -> Iterator[Blamed]:
        """Unexpired keys that start with `prefix`, each with the transaction that set it last."""
        from gitkv.reading.blame import blame_prefix

        return blame_prefix(fresh_state(self._replica, read_from), prefix, at)

    def diff(
        self, old: str, new: str = "", *, prefix: str = "", key: str = ""
    ) -> Iterator[Changed]:
        """Keys whose value, content type or expiry differ between two revisions, in order; `key`:
        this one only.
        """
        from gitkv.reading.history import diff_revisions

        return diff_revisions(fresh_state(self._replica, MIRROR), old, new, prefix, key)

    def values_of_diff(
        self, changes: Iterator[Changed], *, bytes_max: int = 1 << 20
    ) -> Iterator[Differing]:
        """What `diff` gave, with the values of at most `bytes_max` bytes."""
        from gitkv.client.state import trusted_state
        from gitkv.reading.history import diff_values

        return diff_values(trusted_state(self._replica), changes, bytes_max)
