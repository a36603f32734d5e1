"""Repository addresses: which ones a mirror may have.

Left to others: whether the address answers, and whether the network may reach it (a deployment's
firewall decides that).
"""

from __future__ import annotations

import re

from gitkv.errors import PolicyError, UsageError
from gitkv.model.address import has_secret, redact
from gitkv.model.verdict import printable

URL_CHARS_MAX = 2048

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_PORT = r"(?::[0-9]{1,5})?"
_USER = r"(?:[A-Za-z0-9_][A-Za-z0-9._+-]*@)?"
_PATH = r"[A-Za-z0-9._~%+,=@:/-]"
# Compiled at its only use: a client that never configures a mirror should not pay for it.
_MIRROR = (
    rf"https://{_HOST}{_PORT}/{_PATH}*"
    rf"|ssh://{_USER}{_HOST}{_PORT}/{_PATH}+"
    rf"|{_USER}{_HOST}:(?![:-])(?!//){_PATH}+"
    # A path on this machine goes to git as one argument: no character in it can do harm
    r"|(?:file://)?/[ -~]*"
)


def check_mirror_url(url: str) -> str:
    """`url` itself: https://, ssh://, [user@]host:path, file:// or an absolute path, in printable
    ASCII.

    Raises UsageError on anything else: a leading '-' would be an option, `<helper>::` runs a
    program, http:// and git:// are not authenticated. Raises PolicyError for credentials: they
    would be published.
    """
    refuse_secret(url, "mirror address")
    if (
        len(url) > URL_CHARS_MAX
        or "::" in url.partition("[")[0]
        or re.fullmatch(_MIRROR, url) is None
    ):
        raise UsageError(
            f"mirror address {printable(redact(url, url))}: expected https://, ssh://, "
            "user@host:path, file:// or an absolute path"
        )
    return url


def refuse_secret(url: str, what: str) -> None:
    """Raises PolicyError for an address with a password or token in it: it would be published with
    the store, and shown by `ps`.
    """
    if has_secret(url):
        raise PolicyError(
            f"{what} {printable(redact(url, url))}: it carries credentials, expected none",
            hint="leave them out; use an ssh key, or git's credential helper (see "
            "gitcredentials(7)); a token that was written down should be revoked",
        )
