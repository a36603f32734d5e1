"""Addresses that ssh reaches, in every spelling that git takes, and git's rewriting of them.

Left to others: which client connects (`ssh_client.py`), and what an address may be that travels in
a policy (`policy/`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gitkv.errors import UsageError
from gitkv.git.urls import refuse_secret
from gitkv.model.address import redact
from gitkv.model.verdict import printable

_USER = r"(?P<user>[A-Za-z0-9_][A-Za-z0-9._+-]*)@"
_NAME = r"[A-Za-z0-9][A-Za-z0-9.-]*"
_IP = r"[0-9A-Fa-f:.]+"
_PATH = r"[A-Za-z0-9._/~+-]"
# Compiled where they are used, in this order: most addresses are of the first form
_URL = (
    rf"(?:ssh|git\+ssh|ssh\+git)://(?:{_USER})?(?:(?P<host>{_NAME})|\[(?P<ip>{_IP})\])"
    rf"(?::(?P<port>[0-9]{{1,5}}))?(?P<path>/{_PATH}+)"
)
_SCP = rf"(?:{_USER})?(?:(?P<host>{_NAME})|\[(?P<ip>{_IP})\])(?P<port>):(?P<path>(?!-|//){_PATH}+)"
_SCP_PORT = (
    rf"\[(?:{_USER})?(?P<ip>)(?P<host>{_NAME}):(?P<port>[0-9]{{1,5}})\]:(?P<path>(?!-|//){_PATH}+)"
)
_REWRITES = "url."
_INSTEAD_OF = ".insteadof"


class SshTarget(NamedTuple):
    """Where an address points: `user` and `port` are "" when it names none."""

    user: str
    host: str
    port: str
    path: str

    @property
    def place(self) -> str:
        """The host as ssh takes it."""
        return f"{self.user}@{self.host}" if self.user else self.host


def parse_ssh_url(url: str) -> SshTarget:
    """The parts of `ssh://[user@]host[:port]/path`, `[user@]host:path` or `[host:port]:path`.

    Raises UsageError for anything a shell or ssh could read in another way, PolicyError for
    credentials.
    """
    refuse_secret(url, "Stargate's address")
    found = re.fullmatch(_URL, url) or re.fullmatch(_SCP, url) or re.fullmatch(_SCP_PORT, url)
    if found is not None and int(found["port"] or 22) <= 65535:
        path = found["path"]
        return SshTarget(
            found["user"] or "",
            found["host"] or found["ip"],
            found["port"] or "",
            path[1:] if path.startswith("/~") else path,
        )
    raise UsageError(
        f"Stargate's address {printable(redact(url, url))}: expected ssh://[user@]host[:port]/path "
        "or [user@]host:path, with a plain path"
    )


def rewritten(url: str, config_all: Mapping[str, Sequence[str]]) -> str:
    """The address after `url.<base>.insteadOf`, as git applies it to a push URL that is configured:
    the longest beginning wins; pushInsteadOf is not for these (git-config(1)).
    """
    best, base = "", ""
    for key, values in config_all.items():
        if not key.startswith(_REWRITES) or not key.endswith(_INSTEAD_OF):
            continue
        for beginning in values:
            if len(beginning) > len(best) and url.startswith(beginning):
                best, base = beginning, key[len(_REWRITES) : -len(_INSTEAD_OF)]
    return base + url[len(best) :] if best else url
