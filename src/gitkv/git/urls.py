"""Repository addresses: which ones a mirror may have, and how any of them is shown without its
credentials.

Left to others: whether the address answers, and whether the network may reach it (a deployment's
firewall decides that).
"""

from __future__ import annotations

import re

from gitkv.errors import PolicyError
from gitkv.model.verdict import printable

URL_CHARS_MAX = 2048

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_PORT = r"(?::[0-9]{1,5})?"
_USER = r"(?:[A-Za-z0-9_][A-Za-z0-9._+-]*@)?"
_PATH = r"[A-Za-z0-9._~%+,=@:/-]"
# Compiled at its only use: a client that never configures a mirror should not pay for it.
_MIRROR = (
    rf"https://(?:[A-Za-z0-9._~%!$&'()*+,;=:-]+@)?{_HOST}{_PORT}/{_PATH}*"
    rf"|ssh://{_USER}{_HOST}{_PORT}/{_PATH}+"
    rf"|{_USER}{_HOST}:(?![:-])(?!//){_PATH}+"
    # A path on this machine goes to git as one argument: no character in it can do harm
    r"|(?:file://)?/[ -~]*"
)
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/\s'\"]*)@")


def check_mirror_url(url: str) -> str:
    """`url` itself: https://, ssh://, [user@]host:path, file:// or an absolute path, in printable
    ASCII.

    Raises PolicyError on anything else: a leading '-' would be an option, `<helper>::` runs a
    program, http:// and git:// are not authenticated.
    """
    if (
        len(url) > URL_CHARS_MAX
        or "::" in url.partition("[")[0]
        or re.fullmatch(_MIRROR, url) is None
    ):
        raise PolicyError(
            f"mirror address {printable(redact(url))}: expected https://, ssh://, user@host:path, "
            "file:// or an absolute path"
        )
    return url


def redact(text: str, url: str = "") -> str:
    """`text` with the credentials of every address in it replaced by `***`; those of `url` also
    where they stand alone.

    The user name of an ssh address stays: it is no secret, and the reader needs it.

    """
    shown = _USERINFO.sub(_hide, text)
    found = _USERINFO.match(url)
    if found is not None and _hide(found) != found[0]:
        for secret in (found[2], found[2].partition(":")[2]):
            shown = shown.replace(secret, "***") if len(secret) > 3 else shown
    return shown


def _hide(found: re.Match[str]) -> str:
    if "ssh" in found[1] and ":" not in found[2]:
        return found[0]
    return f"{found[1]}***@"
