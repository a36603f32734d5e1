"""Why an address cannot be listened on: what may pass by itself is tried again, the rest needs a
person.
"""

from __future__ import annotations

import errno
import os
import socket

import pytest

from gitkv.daemon.preflight import cannot_listen


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(errno.EACCES, "Permission denied"), 129, "CAP_NET_BIND_SERVICE"),
        (OSError(errno.EADDRINUSE, "Address already in use"), 5, "ss -ltnp"),
        (OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL)), 5, "does not have"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), 129, "0.0.0.0"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), 5, ""),
        (UnicodeError("label too long"), 129, ""),
    ],
)
def test_a_refused_address_says_what_to_do(
    error: OSError | UnicodeError, code: int, words: str
) -> None:
    found = cannot_listen("host\x1b", 22, error)

    assert found.exit_code == code
    assert words in found.hint
    assert "\x1b" not in str(found) and ":22" in str(found)
