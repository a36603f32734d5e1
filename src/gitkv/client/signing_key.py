"""Finding the key to sign with: the configured one if the policy knows it, else an SSH key of this
person that it does.

Only public halves are looked at. Which keys the policy knows decides; a key it does not know would
only be refused later.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from gitkv.client.replica import Replica
from gitkv.errors import PolicyError
from gitkv.model.identity import PublicKey
from gitkv.model.policy import Policy, Principal
from gitkv.model.public_key import openpgp_keys, parse_ssh_key
from gitkv.model.refs import POLICY_PATH
from gitkv.sign.gnupg_keys import secret_keys
from gitkv.sign.signers import expanded, gpg_program, literal_key

NO_PUSH_URL = f"nobody can write here: {POLICY_PATH} has no stargate.push_url"
NO_PUSH_URL_HINT = "ask an admin to add the address of the Stargate"

_SSH_DIR = ".ssh"
_FILE_BYTES_MAX = 16 * 1024


class SigningKey(NamedTuple):
    """`format`: "ssh" or "openpgp"; `settings`: what the repository's own configuration must say
    for it, so that no later change of another one takes the key away.
    """

    format: str
    principal: str
    settings: dict[str, str]


class _Offer(NamedTuple):
    """A public key line found at `place` (for messages), and what user.signingkey must be to use
    it.
    """

    place: str
    line: str
    setting: str


def find_signing_key(replica: Replica, policy: Policy) -> SigningKey:
    """Raises PolicyError naming what was tried when no key of this person is in the policy."""
    tried: list[str] = []
    configured = replica.config.get("user.signingkey", "")
    style = replica.config.get("gpg.format", "openpgp")
    if configured:
        principal = _configured(replica, policy, style, configured)
        if principal is not None:
            settings = {"gpg.format": style, "user.signingkey": configured}
            return SigningKey(style, principal, settings)
        ended = _revoked(policy, public_half(replica, configured) if style == "ssh" else "")
        tried.append(f"user.signingkey {configured[:80]} ({style}{', revoked' if ended else ''})")
    for offer in _offers(replica):
        found = _owner(policy, offer.line)
        if found is not None:
            return SigningKey(
                "ssh", found.name, {"gpg.format": "ssh", "user.signingkey": offer.setting}
            )
        tried.append(offer.place + (" (revoked)" if _revoked(policy, offer.line) else ""))
    looked = (
        ", ".join(tried)
        if tried
        else "user.signingkey is not set, and there are no ~/.ssh/*.pub and no agent keys"
    )
    hint = (
        "ask an admin to add your public key to .kv/policy.yaml; make one with: ssh-keygen -t "
        "ed25519"
    )
    raise PolicyError(f"none of your keys may write here: tried {looked}", hint=hint)


def explain_reader(replica: Replica) -> PolicyError:
    """Why a clone that was set up for reading cannot write, and what to do."""
    from gitkv.client.policy import read_policy

    policy = read_policy(replica)
    try:
        if policy is not None and not policy.push_url:
            return PolicyError(NO_PUSH_URL, hint=NO_PUSH_URL_HINT)
        if policy is not None:
            find_signing_key(replica, policy)
    except PolicyError as error:
        return error
    return PolicyError("this clone was set up for reading only", hint="run: git kv remote setup")


def _configured(replica: Replica, policy: Policy, style: str, setting: str) -> str | None:
    """The principal whose key the configuration names."""
    if style == "ssh":
        line = public_half(replica, setting)
        principal = _owner(policy, line) if line else None
        return principal.name if principal else None
    if style != "openpgp":
        return None
    for fingerprint in (
        *secret_keys(gpg_program(replica.config, replica.host.env), setting, replica.host.env),
        setting.removeprefix("0x").rstrip("!").replace(" ", "").upper(),
    ):
        for principal in policy.principals:
            if any(_is_openpgp(key, fingerprint) for key in principal.keys):
                return principal.name
    return None


def _is_openpgp(key: PublicKey, fingerprint: str) -> bool:
    """Whether the end of a fingerprint, of at least 8 digits, is that of the key or a subkey."""
    return (
        key.kind == "openpgp"
        and not key.revoked
        and len(fingerprint) >= 8
        and any(packet.fingerprint.endswith(fingerprint) for packet in openpgp_keys(key.material))
    )


def public_half(replica: Replica, setting: str) -> str:
    """The public key line that user.signingkey stands for, with git's reading of it: itself, or
    the file's, or that of the .pub beside it.
    """
    literal = literal_key(setting)
    if literal is not None:
        return literal
    path = expanded(setting, replica.host.env)
    path = os.path.join(replica.repository.work_tree or replica.repository.git_dir, path)
    return _first_line(path.removesuffix(".pub") + ".pub")


def _offers(replica: Replica) -> Iterator[_Offer]:
    from gitkv.sign.agent import agent_keys

    home = replica.host.env.get("HOME", "")
    directory = os.path.join(home, _SSH_DIR)
    names = sorted(os.listdir(directory)) if home and os.path.isdir(directory) else []
    for name in names:
        private = os.path.join(directory, name.removesuffix(".pub"))
        if name.endswith(".pub") and os.path.exists(
            private
        ):  # without its private half only an agent can use it
            yield _Offer(f"~/{_SSH_DIR}/{name}", _first_line(private + ".pub"), private)
    for line in agent_keys(replica.host.env):
        kind, _, rest = line.partition(" ")
        yield _Offer(f"agent key {rest.partition(' ')[2][:40] or kind}", line, f"key::{line}")


def _owner(policy: Policy, line: str) -> Principal | None:
    """Whose key the line is; None for a key the policy lacks or has revoked."""
    found = listed(policy, line)
    return found[0] if found is not None and not found[1].revoked else None


def _revoked(policy: Policy, line: str) -> bool:
    found = listed(policy, line)
    return found is not None and found[1].revoked


def listed(policy: Policy, line: str) -> tuple[Principal, PublicKey] | None:
    """Whose key an SSH public key line is, and how the policy lists it; None when it does not."""
    try:
        fingerprint = parse_ssh_key(line.encode("utf-8", "surrogateescape").strip()).fingerprint
    except ValueError:
        return None
    principal = policy.principal_of_key(fingerprint)
    if principal is None:
        return None
    return principal, next(key for key in principal.keys if key.fingerprint == fingerprint)


def _first_line(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_FILE_BYTES_MAX).split(b"\n")[0].decode("utf-8", "surrogateescape")
    except OSError:
        return ""
