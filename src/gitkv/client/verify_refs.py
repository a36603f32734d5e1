"""Finds what the refs of a repository show of a namespace, in any kind of clone: one that was set
up, a mirror, a bare one, one whose remotes have other names, a worktree.

Refs of our own are `refs/kv/<ns>` and so on; what was fetched stands under `refs/remotes/<name>/`;
what this clone has proved before, and must find again, under `refs/kv-trust/`.
"""

from __future__ import annotations

import os

from gitkv.client.replica import Replica
from gitkv.client.trust.memory import POLICY_TRUSTED
from gitkv.client.trust.receipt import receipt_ref
from gitkv.model.heads import Heads
from gitkv.model.oid import OID_HEX, Oid, parse_oid
from gitkv.model.refs import POLICY_PATH, EpochLabel, parse_epoch
from gitkv.verifying.history import Seen, Unjudged
from gitkv.verifying.objects import Sighting
from gitkv.verifying.policies import OwnPolicy

_REMOTES = "refs/remotes/"
_MAIN = "refs/heads/main"
_ALL_OR_LOGS = ("refs/*", "refs/kv*", "refs/kv-watchlog/*")


def seen_refs(replica: Replica, heads: Heads) -> Seen:
    """What is here; `heads` are the trusted ones."""
    refs = _all_refs(replica)
    sources = _sources(replica, refs)
    logs = _watchlogs(replica, refs, sources)
    ours = bool(logs) and not replica.remote
    mains = _sightings(refs, [f"{_REMOTES}{name}/main" for name in sources])
    others = [ref for ref in refs if ref.startswith(_REMOTES) and ref.endswith("/main")]
    if not mains and (not others or replica.config.get("core.bare") == "true"):
        mains = _sightings(refs, [_MAIN])
    is_standalone = replica.is_standalone
    proved = [os.fsdecode(ref) for ref in (POLICY_TRUSTED, receipt_ref(replica.ns))]
    return Seen(
        ns=replica.ns,
        heads=heads,
        ledgers=_sightings(refs, [f"{_REMOTES}{name}/kv/{replica.ns}" for name in sources[::-1]]),
        watchlogs=logs,
        proved=_sightings(refs, proved[1:]),
        policies=_sightings(refs, proved[:1]) + mains,
        maybe_policies=_sightings(refs, others) if not mains else (),
        own_policies=_own_policies(replica) if is_standalone else (),
        is_standalone=is_standalone,
        is_writer=bool(replica.remote),
        fetches_receipts=ours or _fetches_receipts(replica),
        gaps=_gaps(replica),
    )


def _all_refs(replica: Replica) -> dict[str, Oid]:
    """Those that may matter."""
    wanted = (_REMOTES, "refs/kv-watchlog/", "refs/kv-trust/", _MAIN)
    done = replica.git.run("for-each-ref", "--format=%(objectname) %(refname)", *wanted)
    lines = [line for line in done.stdout.split(b"\n") if line]
    return {os.fsdecode(line[OID_HEX + 1 :]): parse_oid(line[:OID_HEX]) for line in lines}


def _sources(replica: Replica, refs: dict[str, Oid]) -> list[str]:
    """Names under refs/remotes/ that show this store, Stargate's before its mirror's: the ones that
    set-up made, or, where there was none, all that show a part of the namespace.
    """
    if replica.remote:
        return [f"{replica.remote}-stargate", replica.remote]
    found = set()
    for ref in refs:
        name, kind, rest = ref.removeprefix(_REMOTES).rpartition("/kv-watchlog/")
        if not kind:
            name, kind, rest = ref.removeprefix(_REMOTES).rpartition("/kv/")
        if ref.startswith(_REMOTES) and kind and rest.partition("@")[0] == replica.ns:
            found.add(name)
    return sorted(found, key=lambda name: (not name.endswith("-stargate"), name))


def _watchlogs(
    replica: Replica, refs: dict[str, Oid], sources: list[str]
) -> dict[EpochLabel, tuple[Sighting, ...]]:
    found: dict[EpochLabel, tuple[Sighting, ...]] = {}
    for root in [*(f"{_REMOTES}{name}/" for name in sources), "refs/"]:
        start = f"{root}kv-watchlog/{replica.ns}@"
        for ref, tip in refs.items():
            if ref.startswith(start):
                try:
                    epoch = parse_epoch(os.fsencode(ref.removeprefix(start)))
                except ValueError:
                    continue  # nothing that a Stargate made
                found[epoch] = (*found.get(epoch, ()), Sighting(ref, tip))
    return found


def _sightings(refs: dict[str, Oid], names: list[str]) -> tuple[Sighting, ...]:
    return tuple(Sighting(name, refs[name]) for name in names if name in refs)


def _own_policies(replica: Replica) -> tuple[OwnPolicy, ...]:
    done = replica.git.run(
        "log",
        "--first-parent",
        "--reverse",
        "--format=%H %ct",
        _MAIN,
        "--",
        POLICY_PATH,
        check=False,
    )
    lines = [line.split() for line in done.stdout.decode().splitlines()] if done.code == 0 else []
    texts = replica.objects.resolve([f"{oid}:{POLICY_PATH}" for oid, _ in lines])
    return tuple(
        OwnPolicy(parse_oid(oid.encode()), int(time_s), text)
        for (oid, time_s), text in zip(lines, texts, strict=True)
        if text is not None
    )


def _fetches_receipts(replica: Replica) -> bool:
    """Whether a fetch would have brought the watchlog."""
    specs = [
        spec.lstrip("+").partition(":")[0]
        for name, values in replica.config_all.items()
        if name.startswith("remote.") and name.endswith(".fetch")
        for spec in values
    ]
    return any(spec in _ALL_OR_LOGS for spec in specs)


def _gaps(replica: Replica) -> tuple[Unjudged, ...]:
    """Why objects may be missing here with nothing wrong."""
    remote = replica.remote or _first_remote(replica)
    gaps = []
    if _has_content(os.path.join(replica.repository.common_dir, "shallow")):
        what = "everything: this clone is shallow, and its history does not reach back to"
        gaps.append(Unjudged(what, f"git fetch --unshallow {remote}"))
    promisors = [name for name in replica.config if name.endswith(".promisor")]
    if promisors or "extensions.partialclone" in replica.config:
        what = "everything: this clone is partial, and does not have"
        hint = f"git fetch --refetch --no-filter {remote}"
        gaps.append(Unjudged(what, hint))
    return tuple(gaps)


def _first_remote(replica: Replica) -> str:
    names = [
        name.removeprefix("remote.").removesuffix(".url")
        for name in replica.config
        if name.startswith("remote.") and name.endswith(".url")
    ]
    return names[0] if names else "REMOTE"


def _has_content(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False
