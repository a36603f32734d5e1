"""The adapters of a Stargate repository: git, files, keys and the clock of this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from gitkv.daemon.preflight import FROM_BACKUP, read_secret
from gitkv.errors import IntegrityError, ToolError
from gitkv.gateway.stargate import Adapters
from gitkv.gateway.telling import Step
from gitkv.git.ancestry import GitHistory
from gitkv.git.host import GitHost
from gitkv.git.journal import FileJournal
from gitkv.git.object_store import GitObjectStore
from gitkv.git.process import Git
from gitkv.git.ref_store import PackedRefStore
from gitkv.git.sole_lease import SoleLease
from gitkv.git.spool import GitSpool
from gitkv.ports import Lease
from gitkv.sign.gateway_key import Ed25519Signer
from gitkv.sign.verifier import SignatureVerifier
from gitkv.telemetry.clock import SystemClock


class Opened(NamedTuple):
    """An opened repository. `git` runs in it, with nobody's configuration but its own."""

    git: Git
    adapters: Adapters
    objects: GitObjectStore
    refs: PackedRefStore

    def close(self) -> None:
        """Ends the children and closes the files; harmless when done before."""
        self.objects.close()
        self.refs.close()


def open_repository(
    git_dir: str,
    env: Mapping[str, str],
    step: Step = lambda name: None,
    lease: Lease | None = None,
) -> Opened:
    """Opens a Stargate repository; `lease` None leads without a lock. Raises UsageError when it is
    none, IntegrityError when something of it is missing or in others' reach.
    """
    try:
        signer = Ed25519Signer(read_secret(git_dir, "gateway_key"))
    except ToolError as error:
        raise IntegrityError(f"{git_dir}/kv/gateway_key: {error}", hint=FROM_BACKUP) from None
    git = Git(git_dir, env=env).sealed()
    objects, refs, leads = GitObjectStore(git), PackedRefStore(git_dir), lease or SoleLease(git_dir)
    adapters = Adapters(
        objects,
        refs,
        GitHistory(git),
        GitHost(git, objects, refs),
        partial(GitSpool, git),
        FileJournal(git_dir, refs, leads, step),
        leads,
        signer,
        SignatureVerifier(os.path.join(git_dir, "kv", "gnupg"), env),
        SystemClock(),
    )
    return Opened(git, adapters, objects, refs)
