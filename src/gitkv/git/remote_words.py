"""What ssh, git and the far host say when a connection fails: the words that tell, and whether
trying again later makes sense.

The words are a stranger's: they come out as one printable line without credentials, and decide
about nothing but the advice and the class of an error.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gitkv.errors import AccessError, ToolError, UnavailableError
from gitkv.model.address import redact
from gitkv.model.verdict import printable

_LINES_MAX = 4
_HOST = b"remote: "
_STDERR_BYTES_MAX = 64 * 1024

# Lines that say nothing, or nothing that another line does not say better
_EMPTY_WORDS = re.compile(
    rb"(?:remote: ?)?[\s=*#_-]*"
    rb"|@.*|\*\* .*|debug[1-3]: .*|hint: .*|Warning: (?!Identity file).*|warning: .*"
    rb"|Please make sure you have the correct access rights|and the repository exists\."
    rb"|IT IS POSSIBLE THAT .*|Someone could be .*|It is also possible .*"
    rb"|Please contact your .*|Add correct host key .*|remove with:|ssh-keygen .*"
    rb"|It is required that .*|This private key will be ignored\.|Permissions \S+ for .*"
    rb"|The fingerprint for the .*|Host key for .*|Offending .*"
    rb"|OpenSSH_.*"
)
_LAST_RESORT = re.compile(
    rb"(?:fatal|error): (?:Could not read from remote repository\."
    rb"|[Tt]he remote end hung up unexpectedly|the remote end hung up upon initial contact)"
)
_SENT_FINGERPRINT = re.compile(rb"(SHA256:[A-Za-z0-9+/=]+)\.?")
_OFFENDING = re.compile(rb"Offending [A-Z0-9-]+ key in (.+)")


class _Kind(NamedTuple):
    """Any of `words` in what was said makes the failure one of this kind."""

    words: tuple[bytes, ...]
    error: type[AccessError | ToolError | UnavailableError]
    hint: str


_HOST_KEY = _Kind(
    (
        b"REMOTE HOST IDENTIFICATION HAS CHANGED",
        b"Host key verification failed",
        b"and you have requested strict checking",
    ),
    AccessError,
    "compare the host's key with the known_hosts line that the operator sends you; if it is new, "
    "add the line, if it was replaced, take the old one out with: ssh-keygen -R HOST",
)
_LOG_IN = _Kind(
    (
        b"Permission denied (",
        b"Too many authentication failures",
        b"No supported authentication methods",
    ),
    AccessError,
    "ssh must offer a key that the host lets in: name its file in ~/.ssh/config (Host, "
    "IdentityFile), or: ssh-add FILE",
)
_KINDS = (
    _HOST_KEY,
    _LOG_IN,
    _Kind(
        (b"Unable to negotiate with",),
        AccessError,
        "the two ends share no algorithm: update OpenSSH, or the host",
    ),
    _Kind(
        (
            b"Authentication failed for",
            b"could not read Username for",
            b"could not read Password for",
            b"returned error: 401",
            b"returned error: 403",
            b"HTTP Basic: Access denied",
        ),
        AccessError,
        "give git the credentials with a helper: git config credential.helper NAME "
        "(gitcredentials(7)); a refused token may have expired or lack the right",
    ),
    _Kind(
        (
            b"epository not found",
            b"' not found",
            b"not valid: is this a git repository",
            b"of one repository only",
            b"returned error: 404",
            b"returned error: 410",
            b"project you were looking for could not be found",
        ),
        AccessError,
        "check the address, and that this account may see the repository",
    ),
    _Kind(
        (
            b"SSL certificate problem",
            b"server certificate verification failed",
            b"SSL: no alternative certificate subject name",
            b"certificate subject name",
        ),
        AccessError,
        "check the host's certificate and http.sslCAInfo",
    ),
    _Kind(
        (
            b"Bad configuration option",
            b"Bad owner or permissions",
            b"ssh variant '",
            b"nsupported protocol",
            b"not supported or disabled in libcurl",
            b"' not allowed",
            b"Unable to find remote helper",
            b"fatal: cannot run ",
            b"error: cannot run ",
            b": not found\n",
            b"command not found",
            b"no path specified",
        ),
        ToolError,
        "check core.sshCommand, GIT_SSH_COMMAND, ~/.ssh/config and the address",
    ),
    _Kind(
        (b"Connection refused",),
        UnavailableError,
        "nothing listens at that address and port: see whether the server runs, and whether the "
        "port is the right one",
    ),
    _Kind(
        (
            b"Could not resolve host",
            b"Temporary failure in name resolution",
            b"Name or service not known",
        ),
        UnavailableError,
        "check the host's name in the address, and that this machine is on the network",
    ),
    _Kind(
        (b"No route to host", b"Network is unreachable", b"Connection timed out"),
        UnavailableError,
        "check that this machine is on the network, and that no firewall is in between",
    ),
)


def telling(stderr: bytes, url: str = "") -> str:
    """What was said, on one line: the host's, ssh's and git's own words, without what is only
    decoration; "" when there was nothing. `url`: whose secrets must not be shown.
    """
    lines = [line.strip() for line in re.split(rb"[\r\n]+", stderr[-_STDERR_BYTES_MAX:])]
    lines = [line for line in lines if line and not _EMPTY_WORDS.fullmatch(line)]
    firm = [line for line in lines if not _LAST_RESORT.fullmatch(line)] or lines
    firm = [_with_file(line, stderr) for line in dict.fromkeys(firm)]
    texts = [line.decode("utf-8", "backslashreplace") for line in firm[-_LINES_MAX:]]
    texts = [text.removesuffix(".") for text in texts[:-1]] + texts[-1:]
    return "; ".join([printable(redact(text, url)) for text in texts])


def hosts_words(stderr: bytes, url: str = "") -> str:
    """What the host itself wrote, on one line; "" when it said nothing."""
    said = [line for line in re.split(rb"[\r\n]+", stderr) if line.startswith(_HOST)]
    return telling(b"\n".join(said), url)


def remote_error(
    what: str, stderr: bytes, url: str = "", otherwise: str = "it gave no reason"
) -> AccessError | ToolError | UnavailableError:
    """The error for a connection that came to nothing: AccessError or ToolError where the same call
    fails again, else UnavailableError. `what`: who failed, for the message.
    """
    message = f"{what}: {telling(stderr, url) or otherwise}"
    for kind in _KINDS:
        if _is(kind, stderr):
            return kind.error(message, hint=kind.hint)
    return UnavailableError(message)


def is_log_in_refused(stderr: bytes) -> bool:
    """Whether ssh got as far as offering keys, and none was let in."""
    return _is(_LOG_IN, stderr) and not _is(_HOST_KEY, stderr)


def is_host_key_refused(stderr: bytes) -> bool:
    """Whether ssh did not take the host for the one it knows."""
    return _is(_HOST_KEY, stderr)


def _is(kind: _Kind, stderr: bytes) -> bool:
    return any(words in stderr for words in kind.words)


def _with_file(line: bytes, stderr: bytes) -> bytes:
    """A key that is not the known one, with the place of the known one."""
    if _SENT_FINGERPRINT.fullmatch(line) is None:
        return line
    known = _OFFENDING.search(stderr)
    where = b" instead of the one in " + known[1].strip() if known else b""
    return b"the host key has changed: it is " + line.rstrip(b".") + where
