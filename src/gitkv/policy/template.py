"""The first policy of a repository, as `git kv stargate init` writes it: plain YAML with the
comments its next editor needs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gitkv.policy.scalars import reads_as_text
from gitkv.policy.text import parse_policy

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9+/=@._-]*(?:[ :][A-Za-z0-9+/=@._-]+)*")

_HEAD = """\
# The policy of this git-kv repository: who may write what, and how large. Stargate applies it as it
# stood before a push. A change is a commit of its own to refs/heads/main, signed by an admin. Names
# and prefixes that YAML could take for something else (no, 012, 1:30) must be quoted.
version: 1
"""
_PRINCIPALS = """
# People and machines, known by their public keys. More of a principal:
#     emails: [alice@example.com]      # commits must carry one of these; nobody else may use them
#     keys:
#       - key: ssh-ed25519 AAAA... laptop
#         not_after: 2027-01-31        # refused from this date on (UTC)
#         revoked: true                # refused at once; never delete a key that has signed
#       - openpgp: |
#           -----BEGIN PGP PUBLIC KEY BLOCK-----
#           ...
principals:
"""
_SIGNATURES = """
# required: every commit is signed by a key above. optional: unsigned commits are accepted too.
signatures: required
"""
_NAMESPACES = """
# More of a namespace:
#   writers:
#     bob: {prefixes: ["cfg:", "flags/"]}    keys that start with one of these; {} is every key
#   allowed_prefixes: ["cfg:", "flags/"]     for all writers; without it any key
#   retention: {ttl_default: 30d}            every value expires, after 30 days if nothing is said
namespaces:
"""
_LIMITS = """\
    max_value_inline: 1MiB             # larger values are cut into chunks; bytes, KiB, MiB, GiB
    max_value_total: 1GiB              # all values of one transaction
    max_keys_per_transaction: 200000
    lfs: forbid                        # or allow: Git LFS pointers as values
    verify: before-ack                 # or before-publish: answer first, audit before mirroring
"""


def format_policy(
    push_url: str,
    admin: tuple[str, str],
    writers: Sequence[tuple[str, str]] = (),
    gateway_key: str = "",
    namespaces: Sequence[str] = ("main",),
) -> bytes:
    """The text of a first policy; `admin` and `writers` are (name, OpenSSH public key line), what
    is empty is left out.

    The admin may write too, and a writer who is the admin is not listed again. Raises
    PolicyTextError when the parts do not make a policy.
    """
    people = [admin, *(writer for writer in writers if writer != admin)]
    parts = [_HEAD, _stargate(push_url, gateway_key), _PRINCIPALS]
    parts += [_principal(name, line, is_admin=at == 0) for at, (name, line) in enumerate(people)]
    parts += [_SIGNATURES, _NAMESPACES]
    parts += [_namespace(ns, [name for name, _ in people]) for ns in namespaces]
    text = "".join(parts).encode()
    parse_policy(text)
    return text


def _stargate(push_url: str, gateway_key: str) -> str:
    lines = ["\nstargate:"] if push_url or gateway_key else []
    if push_url:
        lines.append(f"  push_url: {_yaml(push_url)}")
    if gateway_key:
        lines += [
            "  gateway_keys:                        # they sign the receipts of accepted "
            "transactions",
            f"    - {_yaml(gateway_key)}",
        ]
    return "".join(line + "\n" for line in lines)


def _principal(name: str, key_line: str, *, is_admin: bool) -> str:
    role = "    admin: true                      # may change this policy\n" if is_admin else ""
    return f"  {_yaml(name)}:\n{role}    keys:\n      - {_yaml(key_line)}\n"


def _namespace(ns: str, writers: Sequence[str]) -> str:
    names = "".join(f"      {_yaml(name)}: {{}}\n" for name in writers)
    return f"  {_yaml(ns)}:\n    writers:\n{names}{_LIMITS}"


def _yaml(text: str) -> str:
    """`text` as a scalar: plain where every YAML reads it as text, else in double quotes (a key's
    comment may hold `#` or `: `).
    """
    text = text.strip()
    if _PLAIN.fullmatch(text) is not None and reads_as_text(text):
        return text
    escaped = text.replace("\\", "\\\\").replace(
        '"', '\\"'
    )  # what needs other escapes, the parser refuses
    return f'"{escaped}"'
