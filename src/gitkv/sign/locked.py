"""Whether a private key file has a passphrase. Light: every write looks. Unlocking is left to
`unlocked.py`.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

from gitkv.model.ssh_wire import take_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE_BYTES_MAX = 64 * 1024
_BEGIN, _END = b"-----BEGIN OPENSSH PRIVATE KEY-----", b"-----END OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"
_OPEN = b"none"  # the cipher of a key without a passphrase


def is_locked(key_file: str, env: Mapping[str, str]) -> bool:
    """Whether signing with this private key file asks for a passphrase: it has one, and the agent
    of `env` does not hold the key. False for what is no OpenSSH private key.
    """
    try:
        with open(key_file, "rb") as file:
            head, _, rest = file.read(_FILE_BYTES_MAX).partition(_BEGIN)
        blob = a2b_base64(rest.partition(_END)[0])
        if head.strip() or not blob.startswith(_MAGIC):
            return False
        cipher, at = take_string(blob, len(_MAGIC))
        _, at = take_string(blob, at)
        _, at = take_string(blob, at)
        public, _ = take_string(blob, at + 4)  # past the number of keys
    except (OSError, ValueError):
        return False
    if cipher == _OPEN:
        return False
    from gitkv.sign.agent import agent_keys

    held = b2a_base64(public, newline=False).decode("ascii")
    return not any(held in line.split(" ") for line in agent_keys(env))
