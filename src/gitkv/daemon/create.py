"""Creating a Stargate: keys are made, the repository gets its first state, the mirror shows it.

Creation can be run again after any failure, a power cut included: it gives back what it made, or
goes on where the mirror already has the first state.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from gitkv.daemon.opening import open_repository
from gitkv.errors import GitKvError, ToolError, UnavailableError, UsageError
from gitkv.gateway.followers.mirror import Mirror
from gitkv.gateway.followers.published import published_refs
from gitkv.gateway.setup import CreationRequest, check_mirror, write_first_state
from gitkv.gateway.stargate import open_stargate
from gitkv.git.fitness import read_settings
from gitkv.git.new_repository import Keys, create_repository
from gitkv.git.process import Git
from gitkv.git.remote import GitRemote
from gitkv.git.site import (
    abandon_directory,
    claim_directory,
    clear_directory,
    finish_directory,
    put_on_disk,
)
from gitkv.model.oid import Oid
from gitkv.model.public_key import parse_ssh_key
from gitkv.model.refs import Ref
from gitkv.ports import Settings
from gitkv.sign.gateway_key import Ed25519Signer, generate

_AGAIN = "run the same command again: it goes on from there"


class CreatedStargate(NamedTuple):
    """`host_key`: the public line, for writers' known_hosts; `gateway_key`: the fingerprint with
    which readers' trust begins.
    """

    host_key: str
    gateway_key: str


def create_stargate(request: CreationRequest, env: Mapping[str, str]) -> CreatedStargate:
    """Creates it. A mirror that refuses leaves nothing behind.

    Raises PolicyError, UsageError, ToolError when the mirror refuses, and UnavailableError when its
    answer was lost: then the directory stays, and is finished by creating it again.
    """
    existed = os.path.isdir(request.git_dir)
    if claim_directory(request.git_dir) and _is_published(request, env):
        return _finish(request)
    try:
        check_mirror(GitRemote(Git(env=env), request.mirror))
        clear_directory(request.git_dir)
        first = _create(request, env)
        put_on_disk(request.git_dir)  # before the mirror has what nobody else could go on with
    except BaseException:
        abandon_directory(request.git_dir, existed=existed)
        raise
    why_not = _publish(request, env, first)
    if why_not:
        abandon_directory(request.git_dir, existed=existed)
        hint = "it must take refs/heads/main and refs/kv* from here; nothing was created"
        raise ToolError(f"the mirror refuses the first state: {why_not}", hint=hint)
    return _finish(request)


def _create(request: CreationRequest, env: Mapping[str, str]) -> dict[Ref, Oid]:
    """What is to be on the mirror."""
    (gateway, gateway_public), (host, _) = generate(), generate()
    settings = Settings(request.mirror, tuple(request.namespaces))
    create_repository(request.git_dir, settings, Keys(gateway, host), env)
    opened = open_repository(request.git_dir, env)
    try:
        stargate = open_stargate(opened.adapters)
        write_first_state(stargate.author, request, gateway_public)
        return published_refs(stargate.gate)
    finally:
        opened.close()


def _publish(request: CreationRequest, env: Mapping[str, str], first: Mapping[Ref, Oid]) -> str:
    """Why the mirror refused; "" when it shows the first state, though its answer may be lost."""
    opened = open_repository(request.git_dir, env)
    mirror = GitRemote(Git(request.git_dir, env=env), request.mirror)
    try:
        outcome = Mirror(open_stargate(opened.adapters).mirroring, mirror).push_once()
    finally:
        opened.close()
    if outcome.state == "pushed":
        return ""
    try:
        theirs = mirror.refs()
    except GitKvError as error:
        raise UnavailableError(
            f"the mirror was lost before it answered: {outcome.detail}; {error}", hint=_AGAIN
        ) from None
    if all(theirs.get(ref) == oid for ref, oid in first.items()):
        return ""
    return outcome.detail


def _is_published(request: CreationRequest, env: Mapping[str, str]) -> bool:
    """Whether an earlier run got as far as the mirror. Raises UsageError when it was for another
    one, UnavailableError when it cannot be asked.
    """
    opened = None
    try:
        opened = open_repository(request.git_dir, env)
        url = read_settings(opened.git).mirror
        first = published_refs(open_stargate(opened.adapters).gate)
    except (GitKvError, OSError, ValueError):
        return False  # it did not get that far
    finally:
        if opened is not None:
            opened.close()
    if url != request.mirror:
        raise UsageError(
            f"{request.git_dir} was begun for another mirror",
            hint="give the same --mirror, or remove the directory",
        )
    theirs = GitRemote(Git(env=env), request.mirror).refs()
    return bool(first) and all(theirs.get(ref) == oid for ref, oid in first.items())


def _finish(request: CreationRequest) -> CreatedStargate:
    host, gateway = (_public_line(request, name) for name in ("host_key", "gateway_key"))
    finish_directory(request.git_dir)
    return CreatedStargate(host.decode("ascii").strip(), parse_ssh_key(gateway).fingerprint)


def _public_line(request: CreationRequest, name: str) -> bytes:
    with open(os.path.join(request.git_dir, "kv", name), "rb") as file:
        return Ed25519Signer(file.read()).public_line
