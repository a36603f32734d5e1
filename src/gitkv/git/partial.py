"""Fetching single objects by their ids with stock git: blobs, and trees without their blobs.

git counts what arrives this way as promised by the remote (partial-clone(5)): a tree may be here
whose blobs are not. The filter is given for one command only, so a plain `git fetch` of the same
remote stays what it is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from gitkv.git.durable import CLOCKS_APART_S, sync_new_names
from gitkv.git.fetch_bounds import STALL_S, STORE, FetchBounds
from gitkv.git.incoming import Incoming
from gitkv.git.process import Git
from gitkv.git.transport import (
    FETCH_OPTIONS,
    FETCH_SETTINGS,
    fetch_failure,
    not_durable,
    shown_name,
)
from gitkv.model.oid import Oid

NEVER_LAZY = {"GIT_NO_LAZY_FETCH": "1"}  # what is missing is missing: nobody waits for a host
# Of a pack that is read from end to end git would map all there is: gibibytes for one value
LITTLE_MAPPED = ("core.packedGitWindowSize=8m", "core.packedGitLimit=64m")

_UNNAMED = "kv-objects"  # stands for an address: only named remotes promise objects
_UNFILTERED = b"filtering not recognized by server"
_BY_ID = (b"does not allow request for unadvertised object", b"unadvertised object")


class ByIdError(Exception):
    """The host does not give objects by their ids."""


def fetch_objects(git: Git, remote: str, oids: Sequence[Oid]) -> bool:
    """Fetches these objects and what they reach, but no blob that is not named itself, in one
    request. False when the host knows no filters, and sent the other blobs, too.

    Raises as `transport.fetch`, and ByIdError.
    """
    began_s = time.time() - CLOCKS_APART_S
    name, named = _named(remote)
    promise = (f"remote.{name}.promisor=true", f"remote.{name}.partialclonefilter=blob:none")
    wanted = b"".join([b"%b\n" % oid.hex().encode() for oid in oids])
    words = [
        *[part for setting in (*named, *promise) for part in ("-c", setting)],
        "-c",
        "fetch.negotiationAlgorithm=noop",
        *FETCH_SETTINGS,
        "fetch",
        *FETCH_OPTIONS,
        "--filter=blob:none",
        "--stdin",
        "--end-of-options",
        name,
    ]
    try:
        with Incoming(git) as incoming:
            with FetchBounds(incoming.pack_dir, STORE, shown_name(remote)) as bounds:
                done = bounds.run(incoming.git, *words, stdin=wanted, stall_s=STALL_S)
                if any(word in done.stderr for word in _BY_ID):
                    raise ByIdError
                if done.code != 0:
                    raise fetch_failure(git, done, remote)
                bounds.look()
            if incoming.adopt():
                sync_new_names(git.git_dir, began_s)
    except OSError as error:
        raise not_durable(error) from None
    return _UNFILTERED not in done.stderr


def _named(remote: str) -> tuple[str, tuple[str, ...]]:
    """A remote's name, and the settings that make it one."""
    if "/" not in remote and ":" not in remote:
        return remote, ()
    return _UNNAMED, (f"remote.{_UNNAMED}.url={remote}",)
