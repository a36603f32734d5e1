"""Starting a standalone store: the first, empty transaction of a namespace."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from gitkv.client.author import Author
from gitkv.client.replica import Replica, open_replica
from gitkv.client.store import host_for, namespace_of
from gitkv.errors import UsageError
from gitkv.git.local_pack import store_pack
from gitkv.git.pack import PackWriter
from gitkv.git.repository import set_config
from gitkv.ledger.compose import Transaction, compose_first
from gitkv.model.refs import FIRST_EPOCH

_UNSIGNED = (
    "transactions are not signed; to sign them: git config gpg.format ssh, git config "
    "user.signingkey FILE"
)
_TRAVEL = (
    "a plain git push leaves the store behind; to send it: git push --atomic REMOTE "
    "'refs/kv/*:refs/kv/*' 'refs/kv-index/*:refs/kv-index/*' 'refs/kv-chunks/*:refs/kv-chunks/*'"
)


class InitReport(NamedTuple):
    """`commit`: the ledger's tip; `created` False: it was there already; `signing`: "ssh",
    "openpgp", or "" when commits are not signed.
    """

    ns: str
    commit: str
    created: bool
    signing: str
    advice: list[str]


def init_store(
    path: str | os.PathLike[str] = ".", ns: str = "main", env: Mapping[str, str] | None = None
) -> InitReport:
    """Makes the ledger of a namespace in the repository around `path`; harmless when it is there.

    Raises ToolError when there is no repository or git does not know the writer, BusyError when its
    refs are locked, UsageError in a clone that writes through a Stargate.
    """
    replica = open_replica(os.fspath(path), namespace_of(ns), host_for(env))
    try:
        if replica.remote:
            raise UsageError(
                "this clone writes through a Stargate: a namespace starts there",
                hint="an admin runs: git kv stargate init",
            )
        author = Author(replica, f"start of {ns}")
        signing = replica.config.get("gpg.format", "openpgp") if author.signs else ""
        created = replica.heads() is None and _create(replica, author)
        advice = [_TRAVEL] if author.signs else [_UNSIGNED, _TRAVEL]
        return InitReport(ns, replica.tip().ledger.oid.hex(), created, signing, advice)
    finally:
        replica.close()


def _create(replica: Replica, author: Author) -> bool:
    """False when someone else was faster. Raises IntegrityError for refs that are there and
    damaged: they are no missing ones.
    """
    if (trouble := replica.trouble()) is not None:
        raise trouble
    transaction, writer = _first(replica, author)
    pack = writer.finish()
    try:
        store_pack(replica.git, pack)
    finally:
        pack.close()
    # A clone does not inherit settings: only where this stands is the repository the store itself.
    set_config(replica.git, f"kv.{replica.ns}.standalone", "true")
    return replica.move(None, transaction.tip.heads)


def _first(replica: Replica, author: Author) -> tuple[Transaction, PackWriter]:
    writer = PackWriter(replica.repository.common_dir)
    return compose_first(replica.ns, FIRST_EPOCH, author.stamp(), author.sign, writer.add), writer
