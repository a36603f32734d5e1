"""Which OpenPGP keys of this person a user.signingkey names, as GnuPG itself finds them. Nothing is
signed here.
"""

from __future__ import annotations

from collections.abc import Mapping

from gitkv.errors import ToolError
from gitkv.model.environment import child_environment
from gitkv.sign.process import Start, run

TIMEOUT_S = 30.0
_RECORD, _VALUE = 0, 9  # fields of a line with colons (GnuPG's doc/DETAILS)


def secret_keys(program: str, name: str, env: Mapping[str, str]) -> list[str]:
    """Fingerprints of the secret keys and subkeys that `name` (an id, an address, a part of a name)
    stands for, in GnuPG's order; empty when there are none, or no GnuPG.
    """
    words = ["--batch", "--no-tty", "--with-colons", "--list-secret-keys", "--", name]
    start = Start(child_environment(env), "install GnuPG", timeout_s=TIMEOUT_S)
    try:
        done = run([program, *words], b"", start)
    except ToolError:
        return []
    lines = [line.split(b":") for line in done.out.split(b"\n")]
    return [
        fields[_VALUE].decode("ascii", "replace")
        for fields in lines
        if fields[_RECORD] == b"fpr" and len(fields) > _VALUE
    ]
