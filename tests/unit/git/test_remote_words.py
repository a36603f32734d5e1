"""What ssh, git and hosts say, as real runs printed it, and what is made of it."""

from __future__ import annotations

import pytest

from gitkv.errors import AccessError, GitKvError, ToolError, UnavailableError
from gitkv.git.remote_words import remote_error, telling

_GIT_TAIL = (
    b"fatal: Could not read from remote repository.\n\n"
    b"Please make sure you have the correct access rights\nand the repository exists.\n"
)
_CHANGED = (
    b"@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n"
    b"@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n"
    b"@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n"
    b"IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r\n"
    b"Someone could be eavesdropping on you right now (man-in-the-middle attack)!\r\n"
    b"It is also possible that a host key has just been changed.\r\n"
    b"The fingerprint for the ED25519 key sent by the remote host is\n"
    b"SHA256:OWp9WYzWV2A/OKWeXRgEr0VXXYG0hyXnAe7/V6L/8MQ.\r\n"
    b"Please contact your system administrator.\r\n"
    b"Add correct host key in /etc/a b/known_hosts to get rid of this message.\r\n"
    b"Offending ED25519 key in /etc/a b/known_hosts:1\r\n"
    b'  remove with:\r\n  ssh-keygen -f "/etc/a b/known_hosts" -R "[127.0.0.1]:33259"\r\n'
    b"Host key for [127.0.0.1]:33259 has changed and you have requested strict checking.\r\n"
    b"Host key verification failed.\r\n"
)
_TABLE: list[tuple[bytes, type[GitKvError], str]] = [
    (
        b"git@127.0.0.1: Permission denied (publickey).\r\n" + _GIT_TAIL,
        AccessError,
        "git@127.0.0.1: Permission denied (publickey).",
    ),
    (
        b"Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\r\n"
        b"Disconnected from 10.0.0.1 port 22\r\n" + _GIT_TAIL,
        AccessError,
        "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures; "
        "Disconnected from 10.0.0.1 port 22",
    ),
    (
        _CHANGED + _GIT_TAIL,
        AccessError,
        "the host key has changed: it is SHA256:OWp9WYzWV2A/OKWeXRgEr0VXXYG0hyXnAe7/V6L/8MQ "
        "instead of the one in /etc/a b/known_hosts:1; Host key verification failed.",
    ),
    (
        b"No ED25519 host key is known for [h]:22 and you have requested strict checking.\r\n"
        b"Host key verification failed.\r\n" + _GIT_TAIL,
        AccessError,
        "No ED25519 host key is known for [h]:22 and you have requested strict checking; "
        "Host key verification failed.",
    ),
    (
        b"Unable to negotiate with 127.0.0.1 port 1: no matching host key type found. "
        b"Their offer: ssh-ed25519\r\n" + _GIT_TAIL,
        AccessError,
        "Unable to negotiate with 127.0.0.1 port 1: no matching host key type found. "
        "Their offer: ssh-ed25519",
    ),
    (
        b"Warning: Permanently added '[h]:22' (ED25519) to the list of known hosts.\r\n"
        b"ERROR: Repository not found.\n" + _GIT_TAIL,
        AccessError,
        "ERROR: Repository not found.",
    ),
    (
        b"remote: \nremote: ========================================\nremote: \n"
        b"remote: ERROR: The project you were looking for could not be found or you don't have "
        b"permission to view it.\nremote: \n"
        b"remote: ========================================\nremote: \n" + _GIT_TAIL,
        AccessError,
        "remote: ERROR: The project you were looking for could not be found or you don't have "
        "permission to view it.",
    ),
    (
        b"remote: Repository not found.\nfatal: repository 'https://me:s3cret@h/r/' not found\n",
        AccessError,
        "remote: Repository not found; fatal: repository 'https://***@h/r/' not found",
    ),
    (
        b"fatal: could not read Username for 'https://h': terminal prompts disabled\n",
        AccessError,
        "fatal: could not read Username for 'https://h': terminal prompts disabled",
    ),
    (
        b"remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://h/r/'\n",
        AccessError,
        "remote: HTTP Basic: Access denied; fatal: Authentication failed for 'https://h/r/'",
    ),
    (
        b"fatal: unable to access 'https://h/r/': The requested URL returned error: 403\n",
        AccessError,
        "fatal: unable to access 'https://h/r/': The requested URL returned error: 403",
    ),
    (
        b"fatal: unable to access 'https://h/r/': The requested URL returned error: 503\n",
        UnavailableError,
        "fatal: unable to access 'https://h/r/': The requested URL returned error: 503",
    ),
    (
        b"fatal: unable to access 'https://h/r/': server certificate verification failed. "
        b"CAfile: none CRLfile: none\n",
        AccessError,
        "fatal: unable to access 'https://h/r/': server certificate verification failed. "
        "CAfile: none CRLfile: none",
    ),
    (
        b"fatal: https://h/r/info/refs not valid: is this a git repository?\n",
        AccessError,
        "fatal: https://h/r/info/refs not valid: is this a git repository?",
    ),
    (
        b"ssh: connect to host 127.0.0.1 port 1: Connection refused\r\n" + _GIT_TAIL,
        UnavailableError,
        "ssh: connect to host 127.0.0.1 port 1: Connection refused",
    ),
    (
        b"ssh: Could not resolve hostname h.invalid: Name or service not known\r\n" + _GIT_TAIL,
        UnavailableError,
        "ssh: Could not resolve hostname h.invalid: Name or service not known",
    ),
    (
        b"fatal: unable to access 'https://h/': Could not resolve host: h\n",
        UnavailableError,
        "fatal: unable to access 'https://h/': Could not resolve host: h",
    ),
    (
        b"Connection timed out during banner exchange\r\n"
        b"Connection to 127.0.0.1 port 1 timed out\r\n" + _GIT_TAIL,
        UnavailableError,
        "Connection timed out during banner exchange; Connection to 127.0.0.1 port 1 timed out",
    ),
    (
        b"** WARNING: connection is not using a post-quantum key exchange algorithm.\r\n"
        b"** This session may be vulnerable.\r\n"
        b"kex_exchange_identification: Connection closed by remote host\r\n" + _GIT_TAIL,
        UnavailableError,
        "kex_exchange_identification: Connection closed by remote host",
    ),
    (
        b"fetch-pack: unexpected disconnect while reading sideband packet\n"
        b"fatal: early EOF\nfatal: fetch-pack: invalid index-pack output\n",
        UnavailableError,
        "fetch-pack: unexpected disconnect while reading sideband packet; fatal: early EOF; "
        "fatal: fetch-pack: invalid index-pack output",
    ),
    (_GIT_TAIL, UnavailableError, "fatal: Could not read from remote repository."),
    (
        b"command-line: line 0: Bad configuration option: nosuch\r\n" + _GIT_TAIL,
        ToolError,
        "command-line: line 0: Bad configuration option: nosuch",
    ),
    (
        b"fatal: ssh variant 'simple' does not support setting port\n",
        ToolError,
        "fatal: ssh variant 'simple' does not support setting port",
    ),
    (
        b"nossh -x: 1: nossh: not found\n" + _GIT_TAIL,
        ToolError,
        "nossh -x: 1: nossh: not found",
    ),
    (
        b"fatal: transport 'ext' not allowed\n",
        ToolError,
        "fatal: transport 'ext' not allowed",
    ),
    (b"", UnavailableError, "it gave no reason"),
]


@pytest.mark.parametrize(("said", "kind", "words"), _TABLE, ids=lambda value: str(value)[:40])
def test_the_words_that_tell_and_whether_to_try_again(
    said: bytes, kind: type[GitKvError], words: str
) -> None:
    error = remote_error("x", said)
    assert (type(error), str(error)) == (kind, f"x: {words}")
    assert error.retry == ("later" if kind is UnavailableError else "never")
    assert error.hint or kind is UnavailableError


def test_a_hosts_words_steer_no_terminal_and_fill_no_screen() -> None:
    hostile = b"\x1b[2J\x07\xff" + "\u202e".encode() + b"a" * 10_000 + b"\n"
    told = telling(hostile * 50)
    assert told.isascii() and told.isprintable()
    assert len(told) < 1000


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (b"ssh: connect to host h port 1: Connection refused\n", "nothing listens"),
        (b"fatal: unable to access 'https://h/': Could not resolve host: h\n", "name in the add"),
        (b"ssh: connect to host h port 22: No route to host\n", "firewall"),
    ],
)
def test_a_host_that_cannot_be_reached_comes_with_advice(said: bytes, advice: str) -> None:
    error = remote_error("git fetch", said)
    assert isinstance(error, UnavailableError) and advice in error.hint
