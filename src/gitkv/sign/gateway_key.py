"""The gateway's own key: Ed25519, signing in process: a child for every accepted transaction would
be the slowest part of accepting.

Where the file lives and who may read it is left to the daemon.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING

from gitkv.errors import ToolError
from gitkv.model.ssh_wire import put_string
from gitkv.sign import sshsig

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_KIND = b"ssh-ed25519"


class Ed25519Signer:
    """Signs as `ssh-keygen -Y sign -n git` would with the same key. A port `Signer`."""

    def __init__(self, private_openssh: bytes) -> None:
        """`private_openssh`: the bytes of an unencrypted OpenSSH private key file. Raises
        ToolError.
        """
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self._key = _load(private_openssh)
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._blob = put_string(_KIND) + put_string(raw)

    @property
    def public_line(self) -> bytes:
        """The OpenSSH public key line, without comment, ending in LF."""
        return _KIND + b" " + binascii.b2a_base64(self._blob)

    def sign(self, payload: bytes) -> bytes:
        """The armoured signature over a commit object without its gpgsig header."""
        return sshsig.encode(self._blob, _KIND, self._key.sign(sshsig.signed_data(payload)))


def generate() -> tuple[bytes, bytes]:
    """A fresh key: the private key file's bytes (unencrypted), and the public key line."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
    )
    return private, Ed25519Signer(private).public_line


def _load(private_openssh: bytes) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    hint = "make one with: ssh-keygen -t ed25519 -N '' -f FILE"
    try:
        key = load_ssh_private_key(private_openssh, password=None)
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
    ) as error:  # TypeError: the key is encrypted
        raise ToolError(f"the gateway's key cannot be read: {error}", hint=hint) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ToolError("the gateway's key is not an Ed25519 key", hint=hint)
    return key
