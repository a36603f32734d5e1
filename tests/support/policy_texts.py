"""Policies to start a test from, and keys that look real without being anybody's."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def key_line(number: int) -> str:
    """A well-formed OpenSSH ed25519 public key line, another one for each number up to 255."""
    private = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    point = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    blob = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00 " + point
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


OPENPGP_FINGERPRINT = "0956C7EF9440B9C71FE3326EDF13E81F91018646"
OPENPGP_KEY = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawLVbBYJKwYBBAHaRw8BAQdA/JQdCpjgoXMQbEdcAYxfuDxrT6IU1mz2eqeE
2c9YCvm0F2RvcmEgPGRvcmFAZXhhbXBsZS5jb20+iJAEExYIADgWIQQJVsfvlEC5
xx/jMm7fE+gfkQGGRgUCawLVbAIbAwULCQgHAgYVCgkICwIEFgIDAQIeAQIXgAAK
CRDfE+gfkQGGRgTaAQC2Yajj8V+XudhYFAuq0Gk7s6TBX8gUMHYOTdnIwQVT8AD+
LTO/nf+f7fSPEX+ODQaY3LRg6xoqNIfhLf++N0fjvQs=
=/0hL
-----END PGP PUBLIC KEY BLOCK-----
"""

_OPENPGP_BLOCK = "".join(
    f"          {line}\n" if line else "\n" for line in OPENPGP_KEY.splitlines()
)

FULL = f"""\
---
# every field there is
version: 1
stargate:
  push_url: ssh://git@127.0.0.1:2222/store
  gateway_keys:
    - {key_line(90)} stargate
principals:
  alice:
    admin: true
    emails: [Alice@Example.com]
    keys:
      - {key_line(1)} alice@laptop
  bob:
    admin: false
    keys:
      - key: {key_line(2)}
        not_after: 2027-01-01
      - key: {key_line(3)}
        not_after: "2027-01-01T12:30:01Z"
        revoked: true
  dora:
    keys:
      - openpgp: |
{_OPENPGP_BLOCK}\
signatures: required
namespaces:
  main:
    writers:
      alice: {{}}
      bob: {{prefixes: ["cfg:", "flags/"]}}
    allowed_prefixes: ["cfg:", "flags/x", ".é"]
    max_value_inline: 2MiB
    max_value_total: 1GiB
    max_keys_per_transaction: 5
    chunks: {{min: 4KiB, average: 16KiB, max: 64KiB}}
    retention: {{ttl_default: 30d}}
    lfs: allow
    verify: before-publish
  spare:
    writers: {{}}
"""


def small(extra: str = "", namespaces: str = "main: {writers: {alice: {}}}") -> str:
    """A policy with the admin `alice` (key 1) and one more block of text between principals and
    namespaces.
    """
    return (
        f"version: 1\nprincipals:\n  alice: {{admin: true, keys: [{key_line(1)}]}}\n"
        f"{extra}namespaces:\n  {namespaces}\n"
    )
