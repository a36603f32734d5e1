"""Fetching from and pushing to other repositories with stock git.

Everything a remote says is hostile until proved: refs come back as proved names and ids, texts as
printable lines without credentials, and fetched objects are checked by git before they are kept.
Left to others: which refs are trusted (`client/`), retries and their pace (`gateway/`).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gitkv.errors import (
    AccessError,
    GitKvError,
    IntegrityError,
    MachineError,
    PolicyError,
    ToolError,
    UnavailableError,
    UsageError,
)
from gitkv.git.durable import CLOCKS_APART_S, sync_new_names, sync_ref_names
from gitkv.git.fetch_bounds import LIMIT_WORDS, STALL_S, STORE, FetchBounds, too_much
from gitkv.git.incoming import Incoming, own_refspec
from gitkv.git.pack_scan import PackLimits
from gitkv.git.packed_refs import is_ref
from gitkv.git.process import Completed, Git, busy, complaint, damage, failure, machine_problem
from gitkv.git.remote_words import hosts_words, remote_error, telling
from gitkv.git.repository import parse_config
from gitkv.git.ssh_address import parse_ssh_url
from gitkv.git.ssh_client import explained
from gitkv.model.address import redact
from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import Ref
from gitkv.model.verdict import printable
from gitkv.ports import PUSH_UNCLEAR, PUSHED, REJECTED, REMOTE_REJECTED, UP_TO_DATE, PushStatus

_LISTED = re.compile(rb"([0-9a-f]{40})\t([^\n]+)")
_FLAGS = (b" ", b"+", b"-", b"*", b"!", b"=")
_SUMMARY = re.compile(r"\[([^\]]*)\](?: \((.*)\))?")
_STATES = {"rejected": REJECTED, "remote rejected": REMOTE_REJECTED, "up to date": UP_TO_DATE}


# Of each git that fetches into a folder of its own (`incoming.py`)
FETCH_SETTINGS = (
    "-c",
    "fetch.fsckObjects=true",
    "-c",
    "core.fsync=none",  # it is synced when it is let in
    "-c",
    "fetch.unpackLimit=1",  # always a pack, which can be measured as it arrives
    "-c",
    "core.alternateRefsCommand=true",  # they are the repository's refs, which git knows
)
FETCH_OPTIONS = (
    "--quiet",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    "--no-recurse-submodules",
    "--no-prune",
    "--refmap=",
)


class Push(NamedTuple):
    """One ref to move forward to an object, or to delete: ZERO_OID."""

    oid: Oid
    ref: Ref


def fetch(
    git: Git,
    remote: str,
    refspecs: Sequence[str],
    *,
    refetch: bool = False,
    limits: PackLimits = STORE,
    stall_s: float = STALL_S,
) -> None:
    """Fetches `refspecs`, each `+from:to`, from a remote's name or address; local refs move all or
    none, and only to objects that are on the disk. `refetch`: all objects, whatever is here
    already; `limits`: of what the packs may hold, see `fetch_bounds.py`; `stall_s`: how long
    nothing may arrive.

    Raises UnavailableError when the remote cannot be read or falls silent, AccessError when it
    refuses us, IntegrityError when it sent objects that git refuses or that cost too much. Nothing
    is then left of them.
    """
    began_s = time.time() - CLOCKS_APART_S
    try:
        with Incoming(git) as incoming:
            standing = incoming.standing(_common_folder(refspecs))
            with FetchBounds(incoming.pack_dir, limits, shown_name(remote)) as bounds:
                words = _fetch_words(remote, refspecs, refetch)
                done = bounds.run(incoming.git, *words, stall_s=stall_s)
                if done.code != 0:
                    raise fetch_failure(git, done, remote)
                bounds.look()
            _let_in(git, incoming, standing, began_s)
    except OSError as error:
        raise not_durable(error) from None


def not_durable(error: OSError) -> MachineError:
    """The error for a disk that does not take what was fetched."""
    return MachineError(f"what was fetched could not be made durable: {error.strerror or error}")


def _let_in(git: Git, incoming: Incoming, standing: Mapping[Ref, Oid], began_s: float) -> None:
    """Objects first, refs once these are on the disk."""
    if incoming.adopt():
        sync_new_names(git.git_dir, began_s)
    moves = {ref: oid for ref, oid in incoming.refs().items() if standing.get(ref) != oid}
    if not moves:
        return
    done = incoming.move_refs(moves, standing)
    if b"cannot lock ref" in done.stderr or b".lock': File exists" in done.stderr:
        raise busy("fetch", done)
    if done.code != 0:
        raise machine_problem("fetch", done) or failure("update-ref", done)
    sync_ref_names(git.git_dir, moves)


def _fetch_words(remote: str, refspecs: Sequence[str], refetch: bool) -> list[str]:
    return [
        *FETCH_SETTINGS,
        "fetch",
        *(("--refetch",) if refetch else ()),
        "--atomic",
        *FETCH_OPTIONS,
        "--end-of-options",
        remote,
        *map(own_refspec, refspecs),
    ]


def _common_folder(refspecs: Sequence[str]) -> bytes:
    """The folder of all refs that these write."""
    folders = [spec.partition(":")[2].rpartition("/")[0] for spec in refspecs]
    return os.fsencode(os.path.commonpath(folders) + "/")


def ls_remote(
    git: Git, remote: str, patterns: Sequence[str] = (), *, timeout_s: float | None = None
) -> dict[Ref, Oid]:
    """The remote's refs (no peeled tags, no HEAD). Raises UnavailableError, AccessError, or
    IntegrityError for an answer that is not a list of refs.
    """
    done = git.run(
        "ls-remote",
        "--quiet",
        "--refs",
        "--end-of-options",
        remote,
        *patterns,
        check=False,
        timeout_s=timeout_s,
    )
    if done.code != 0:
        raise _refused(git, "ls-remote", done, remote)
    refs: dict[Ref, Oid] = {}
    for line in done.stdout.split(b"\n")[:-1]:
        found = _LISTED.fullmatch(line)
        if found is None or not is_ref(found[2]) or found[2] in refs:
            raise IntegrityError(
                f"{shown_name(remote)} listed something that is not a ref: {printable(line)}"
            )
        refs[Ref(found[2])] = Oid(bytes.fromhex(found[1].decode()))
    if patterns and not refs:
        _check_is_repository(git, remote, timeout_s)
    return refs


def _check_is_repository(git: Git, remote: str, timeout_s: float | None) -> None:
    """Raises AccessError when what stands at a web address lists nothing at all: to git, any page
    without a line break is a repository without refs.
    """
    url = git.run("ls-remote", "--get-url", "--end-of-options", remote, check=False).stdout
    if not url.startswith((b"http://", b"https://")):
        return
    if not ls_remote(git, remote, timeout_s=timeout_s):
        raise AccessError(
            f"{shown_name(remote)} lists no refs at all: expected a git repository with a store",
            hint="look at the address in a browser: it may show a log-in or an error page",
        )


def push(
    git: Git, remote: str, moves: Sequence[Push], *, timeout_s: float | None = None
) -> dict[Ref, PushStatus]:
    """Pushes `moves`, all or none and never by force; what became of each ref.

    A refusal is an answer, not an error. Raises UnavailableError when the remote gave none: what
    happened is then unknown.
    """
    refspecs = [
        f"{'' if move.oid == ZERO_OID else move.oid.hex()}:{move.ref.decode()}" for move in moves
    ]
    done = git.run(
        "push",
        "--porcelain",
        "--no-verify",
        "--no-signed",
        "--no-follow-tags",
        "--recurse-submodules=no",
        "--no-progress",
        "--atomic",
        "--end-of-options",
        remote,
        *refspecs,
        check=False,
        timeout_s=timeout_s,
    )
    statuses = parse_push_report(done.stdout, remote)
    if not statuses:
        raise _unreachable("push", done, remote)
    said = hosts_words(done.stderr, remote)
    if said:
        statuses = {
            ref: status._replace(reason=f"{status.reason}; {said}")
            if status.state == REMOTE_REJECTED
            else status
            for ref, status in statuses.items()
        }
    missing = {
        move.ref: PushStatus(PUSH_UNCLEAR, telling(done.stderr, remote))
        for move in moves
        if move.ref not in statuses
    }
    return statuses | missing


def parse_push_report(stdout: bytes, url: str = "") -> dict[Ref, PushStatus]:
    """The ref lines of `git push --porcelain`: flag TAB from:to TAB summary; other lines are passed
    over.
    """
    found: dict[Ref, PushStatus] = {}
    for line in stdout.split(b"\n"):
        flag, _, rest = line.partition(b"\t")
        names, tab, summary = rest.partition(b"\t")
        _, colon, name = names.rpartition(b":")
        if flag in _FLAGS and tab and colon and name:
            found[Ref(name)] = _status(flag, summary, url)
    return found


def _status(flag: bytes, summary: bytes, url: str) -> PushStatus:
    if flag == b"=":
        return PushStatus(UP_TO_DATE)
    if flag != b"!":
        return PushStatus(PUSHED)
    text = redact(summary.decode("utf-8", "backslashreplace"), url)
    found = _SUMMARY.fullmatch(text)
    if found is None:
        return PushStatus(PUSH_UNCLEAR, printable(text))
    return PushStatus(_STATES.get(found[1], PUSH_UNCLEAR), printable(found[2] or found[1]))


def fetch_failure(git: Git, done: Completed, remote: str) -> GitKvError:
    """The error for a fetch that failed."""
    if (broken := damage("fetch", done)) is not None:
        return broken
    if (
        b"fsck error" in done.stderr
        or b"in packed object" in done.stderr
        or b"did not send all necessary objects" in done.stderr
    ):
        return IntegrityError(
            f"{shown_name(remote)} sent objects that git refuses: {complaint(done.stderr, remote)}",
            hint="or this repository is damaged; it is looked through by: git kv remote repair",
        )
    if any(words in done.stderr for words in LIMIT_WORDS):
        return too_much(shown_name(remote), "git was ended at a limit for packs of its size")
    if (problem := machine_problem("fetch", done)) is not None:
        return problem
    if b".lock': File exists" in done.stderr:
        return busy("fetch", done)
    return _refused(git, "fetch", done, remote)


def _refused(git: Git, command: str, done: Completed, remote: str) -> GitKvError:
    """Why a remote could not be read, with the keys that ssh offered where that was the reason."""
    error = _unreachable(command, done, remote)
    if not isinstance(error, AccessError):
        return error
    url = git.run("ls-remote", "--get-url", "--end-of-options", remote, check=False).stdout
    try:
        target = parse_ssh_url(os.fsdecode(url.removesuffix(b"\n")))
    except (PolicyError, UsageError):
        return error
    listing = parse_config(git.run("config", "--list", "-z", check=False).stdout)
    config = {key: values[-1] for key, values in listing.items()}
    return explained(error, done.stderr, target, git.env, config)


def _unreachable(
    command: str, done: Completed, remote: str
) -> AccessError | ToolError | UnavailableError:
    otherwise = f"it ended with {done.code} and gave no reason"
    return remote_error(f"git {command} {shown_name(remote)}", done.stderr, remote, otherwise)


def shown_name(remote: str) -> str:
    """A remote as messages name it: printable, without credentials."""
    return printable(redact(remote, remote))
