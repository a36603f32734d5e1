"""Addresses of repositories as text: whether one carries a secret, and how any of them is shown
without it.

Left to others: which addresses are allowed (`git/urls.py`, `policy/`). The work grows with the
length of the text and no faster: it may be a stranger's.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\s'\"]+")
_SCP_SECRET = re.compile(r"[^:/@]+:[^/@]*@")  # user:password@host:path, which no client takes
_SCHEME = "://"
_HIDDEN = "***"
_SHORT = 3  # a "secret" this short would blot out half of a message


def has_secret(url: str) -> bool:
    """Whether an address carries a password, a token, a query or a fragment. A user name counts as
    one except for ssh: hosts take tokens in its place.
    """
    if _SCHEME not in url:
        return _SCP_SECRET.match(url) is not None
    return _without_secrets(url) != url


def redact(text: str, url: str = "") -> str:
    """`text` with the secrets of every address in it replaced by `***`; those of `url` also where
    they stand alone.

    The user name of an ssh address stays: it is no secret, and the reader needs it.
    """
    shown = _WORD.sub(lambda word: _without_secrets(word[0]), text) if _SCHEME in text else text
    for secret in _secrets(url):
        shown = shown.replace(secret, _HIDDEN)
    return shown


def _without_secrets(word: str) -> str:
    before, *parts = word.split(_SCHEME)
    shown = [before]
    for part in parts:
        userinfo, rest = _split(part, shown[-1])
        kept = _without_tail(rest, is_file=shown[-1].lower().endswith("file"))
        shown.append(f"{_HIDDEN}@{kept}" if userinfo else kept)
    return _SCHEME.join(shown)


def _without_tail(rest: str, *, is_file: bool) -> str:
    """Without query and fragment, in which hosts take tokens; a file's name may have a "#"."""
    path, mark, tail = rest.partition("?")
    at = -1 if is_file else path.find("#")
    if at >= 0:
        path, mark, tail = path[:at], "#", path[at + 1 :] + mark + tail
    return f"{path}{mark}{_HIDDEN}" if tail else rest


def _tail(rest: str, *, is_file: bool) -> str:
    """Query and fragment, as far as they are secret."""
    kept = _without_tail(rest, is_file=is_file)
    return "" if kept == rest else rest[len(kept) - len(_HIDDEN) :]


def _split(part: str, scheme: str) -> tuple[str, str]:
    """The secret user information after a scheme, "" for none, and the rest."""
    authority = part.partition("/")[0]
    user, at, _ = authority.rpartition("@")
    if not at and _is_cut_password(authority):
        user, at, _ = part.rpartition("@")
    is_name = scheme.lower().endswith(("ssh", "ssh+git")) and not _has_password(user)
    return (user, part[len(user) + 1 :]) if at and not is_name else ("", part)


def _is_cut_password(authority: str) -> bool:
    """Whether what looks like host:port is user:password, cut by a slash in the password."""
    port = authority.rpartition(":")[2]
    return ":" in authority and not authority.endswith("]") and not port.isdigit()


def _has_password(user: str) -> bool:
    return ":" in user or "%3a" in user.lower()


def _secrets(url: str) -> list[str]:
    """What is secret in an address: user:password, the password, query and fragment."""
    found: list[str] = []
    if _SCHEME in url:
        scheme, _, part = url.partition(_SCHEME)
        user, rest = _split(part, scheme)
        tail = _tail(rest, is_file=scheme.lower().endswith("file"))
        found = [user, user.partition(":")[2], tail]
    elif (scp := _SCP_SECRET.match(url)) is not None:
        user = scp[0][:-1]
        found = [user, user.partition(":")[2]]
    return [secret for secret in found if len(secret) > _SHORT]
