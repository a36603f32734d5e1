"""The bare repository of a Stargate that is created: settings and key files, still without refs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from gitkv.git.fitness import (
    HIDDEN,
    MIRROR_SETTING,
    NAMESPACE_SETTING,
    NO_MIRROR,
    REQUIRED_SETTINGS,
)
from gitkv.git.process import Git
from gitkv.git.repository import set_config
from gitkv.ports import Settings


class Keys(NamedTuple):
    """The gateway's signing key and the SSH host key, as OpenSSH private key files."""

    gateway: bytes
    host: bytes


def create_repository(git_dir: str, settings: Settings, keys: Keys, env: Mapping[str, str]) -> Git:
    """The bare repository with its settings and key files, still without refs, in a directory that
    was claimed (`site`).
    """
    Git(env=env).run(
        "init",
        "--quiet",
        "--bare",
        "--object-format=sha1",
        "--initial-branch=main",
        "--end-of-options",
        git_dir,
    )
    git = Git(git_dir, env=env).sealed()
    for key, value in (*REQUIRED_SETTINGS, (MIRROR_SETTING, settings.mirror or NO_MIRROR)):
        set_config(git, key, value, add=key == HIDDEN)
    for ns in settings.namespaces:
        set_config(git, NAMESPACE_SETTING, ns, add=True)
    os.mkdir(os.path.join(git_dir, "kv", "quarantine"), 0o700)
    for name, key_bytes in (("gateway_key", keys.gateway), ("host_key", keys.host)):
        _write_secret(os.path.join(git_dir, "kv", name), key_bytes)
    return git


def _write_secret(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
