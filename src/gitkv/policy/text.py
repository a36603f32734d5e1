"""From the text of `.kv/policy.yaml` to a proved `Policy`, or to every problem in it at once
(spec/policy 1 to 5).

What a policy then permits is `policy_rules.py`; whether a change of it is admissible is judged
there too.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gitkv.model.chunking import DEFAULT_CHUNKING, MAX_BYTES_MAX, Chunking, check_chunking
from gitkv.model.identity import PublicKey
from gitkv.model.policy import (
    VERIFY_BEFORE_ACK,
    VERIFY_BEFORE_PUBLISH,
    NamespacePolicy,
    Policy,
    Principal,
    Writer,
)
from gitkv.model.public_key import parse_openpgp_key, parse_ssh_key
from gitkv.model.refs import parse_namespace
from gitkv.policy.nodes import (
    Mapping,
    Node,
    PolicyProblem,
    PolicyTextError,
    Problems,
    Scalar,
    quoted,
    read_nodes,
    unseen,
)
from gitkv.policy.scalars import (
    describe,
    read_choice,
    read_count,
    read_email,
    read_entries,
    read_fields,
    read_flag,
    read_instant,
    read_items,
    read_prefix,
    read_push_url,
    read_retention,
    read_size,
    read_text,
)

__all__ = [
    "KEYS_MAX",
    "TOTAL_BYTES_MAX",
    "VALUE_BYTES_MAX",
    "PolicyProblem",
    "PolicyTextError",
    "parse_policy",
]

VALUE_BYTES_MAX = 100 << 20
TOTAL_BYTES_MAX = 1 << 40
KEYS_MAX = 1_000_000

_PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TOP = ("version", "stargate", "principals", "signatures", "namespaces")
_REQUIRED = ("version", "principals", "namespaces")
_CONTENT_SIZES = ("min", "average", "max")
_NAMESPACE = (
    "writers",
    "allowed_prefixes",
    "max_value_inline",
    "max_value_total",
    "max_keys_per_transaction",
    "chunks",
    "retention",
    "lfs",
    "verify",
)


def parse_policy(text: bytes) -> Policy:
    """The policy in `text`. Raises PolicyTextError with every problem found (at most 20), each with
    its line and column.
    """
    problems = Problems()
    root = read_nodes(text, problems)
    if not isinstance(root, Mapping):
        problems.fail(root, f"the policy: expected a mapping, got {describe(root)}")
    policy = _Reader(problems).policy(root)
    problems.stop()
    return policy


class _Reader:
    """Reads the document top down. Values that could not be read are replaced by defaults: a policy
    with problems is never returned.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._key_lines: dict[str, tuple[str, int]] = {}  # fingerprint -> owner and line
        self._email_lines: dict[str, tuple[str, int]] = {}

    def policy(self, root: Node) -> Policy:
        fields = read_fields(root, "the policy", _TOP, self._problems)
        for name in _REQUIRED:
            if name not in fields:
                self._problems.add(root, f"the policy: {quoted(name)} is missing")
        if "version" in fields:
            read_count(fields["version"], "version", 1, self._problems)
        push_url, gateway_keys = (
            self._stargate(fields["stargate"]) if "stargate" in fields else ("", ())
        )
        principals = self._principals(fields["principals"]) if "principals" in fields else ()
        return Policy(
            principals=principals,
            namespaces=self._namespaces(fields["namespaces"], {entry.name for entry in principals})
            if "namespaces" in fields
            else (),
            gateway_keys=gateway_keys,
            push_url=push_url,
            signatures_required=self._choice(fields, "signatures", "", ("required", "optional"))
            != "optional",
        )

    def _stargate(self, node: Node) -> tuple[str, tuple[PublicKey, ...]]:
        fields = read_fields(node, "stargate", ("push_url", "gateway_keys"), self._problems)
        url = (
            read_push_url(fields["push_url"], "stargate.push_url", self._problems)
            if "push_url" in fields
            else ""
        )
        what, owner, lines = "stargate.gateway_keys", "the gateway", self._key_lines
        items = (
            read_items(fields["gateway_keys"], what, self._problems, items_min=0)
            if "gateway_keys" in fields
            else []
        )
        keys = [self._own(self._ssh_key(item, what), item, owner, lines) for item in items]
        return url or "", tuple(key for key in keys if key is not None)

    # Principals: spec/policy 4

    def _principals(self, node: Node) -> tuple[Principal, ...]:
        before = len(self._problems)
        entries = read_entries(node, "principals", self._problems)
        principals = tuple(self._principal(name, value) for name, value in entries)
        # With another problem among the principals, an admin who is there may just not have been
        # readable.
        readable = len(self._problems) == before
        if readable and not any(
            entry.admin and any(not key.revoked for key in entry.keys) for entry in principals
        ):
            hint = (
                "a policy without one could never be changed again: give a principal `admin: true` "
                "and a key that is not revoked"
            )
            self._problems.add(
                node, "principals: no admin with a usable key is left", hint, rule="policy.no-admin"
            )
        return principals

    def _principal(self, name: Scalar, node: Node) -> Principal:
        what = f"principal {quoted(name.text)}"
        if (
            read_text(name, "principals", self._problems) is not None
            and _PRINCIPAL.fullmatch(name.text) is None
        ):
            self._problems.add(
                name,
                f"{what}: a name is 1 to 64 of A-Z a-z 0-9 . _ @ -, "
                "starting with a letter or digit",
            )
        fields = read_fields(node, what, ("admin", "emails", "keys"), self._problems)
        if isinstance(node, Mapping) and "keys" not in fields:
            self._problems.add(name, f'{what}: "keys" is missing')
        return Principal(
            name=name.text,
            keys=self._keys(fields["keys"], name.text, f"{what}: keys") if "keys" in fields else (),
            admin="admin" in fields
            and read_flag(fields["admin"], f"{what}: admin", self._problems) is True,
            emails=self._emails(fields["emails"], name.text, f"{what}: emails")
            if "emails" in fields
            else (),
        )

    def _emails(self, node: Node, owner: str, what: str) -> tuple[str, ...]:
        emails = []
        for item in read_items(node, what, self._problems, items_min=1):
            email = read_email(item, what, self._problems)
            if email is not None and self._first(email, item, owner, self._email_lines):
                emails.append(email)
        return tuple(emails)

    def _keys(self, node: Node, owner: str, what: str) -> tuple[PublicKey, ...]:
        items = read_items(node, what, self._problems, items_min=1)
        keys = [self._own(self._key(item, what), item, owner, self._key_lines) for item in items]
        return tuple(key for key in keys if key is not None)

    def _key(self, node: Node, what: str) -> PublicKey | None:
        if not isinstance(node, Mapping):
            return self._ssh_key(node, what)
        fields = read_fields(node, what, ("key", "openpgp", "not_after", "revoked"), self._problems)
        not_after_s = (
            read_instant(fields["not_after"], f"{what}: not_after", self._problems)
            if "not_after" in fields
            else 0
        )
        revoked = (
            read_flag(fields["revoked"], f"{what}: revoked", self._problems)
            if "revoked" in fields
            else False
        )
        if ("key" in fields) == ("openpgp" in fields):
            self._problems.add(
                node,
                f'{what}: expected one of "key" and "openpgp", '
                f"got {'both' if 'key' in fields else 'neither'}",
            )
            return None
        key = (
            self._ssh_key(fields["key"], what)
            if "key" in fields
            else self._openpgp_key(fields["openpgp"], what)
        )
        return (
            key._replace(not_after_s=not_after_s or 0, revoked=revoked is not False)
            if key is not None
            else None
        )

    def _ssh_key(self, node: Node, what: str) -> PublicKey | None:
        line = read_text(node, what, self._problems)
        return self._parsed(parse_ssh_key, line, node, what) if line is not None else None

    def _openpgp_key(self, node: Node, what: str) -> PublicKey | None:
        if (
            not isinstance(node, Scalar)
            or "\n" not in node.text
            or unseen(node.text, "\n") is not None
        ):
            message = f"{what}: expected an armoured OpenPGP key, got {describe(node)}"
            self._problems.add(node, message, "write `openpgp: |` and the block below it, indented")
            return None
        return self._parsed(parse_openpgp_key, node.text, node, what)

    def _parsed(
        self, parse: Callable[[bytes], PublicKey], text: str, node: Node, what: str
    ) -> PublicKey | None:
        try:
            return parse(text.encode())
        except ValueError as error:
            self._problems.add(node, f"{what}: {error}")
            return None

    def _own(
        self, key: PublicKey | None, node: Node, owner: str, lines: dict[str, tuple[str, int]]
    ) -> PublicKey | None:
        return key if key is not None and self._first(key.fingerprint, node, owner, lines) else None

    def _first(self, thing: str, node: Node, owner: str, lines: dict[str, tuple[str, int]]) -> bool:
        """True unless `thing` (a fingerprint, an email) is listed already: it says who someone is,
        so it belongs to one principal, or to the gateway, once.
        """
        if thing not in lines:
            lines[thing] = (owner, node.line)
            return True
        holder, line = lines[thing]
        self._problems.add(node, f"{quoted(thing)} is listed already, for {holder} on line {line}")
        return False

    # Namespaces: spec/policy 5

    def _namespaces(self, node: Node, principals: set[str]) -> tuple[NamespacePolicy, ...]:
        entries = read_entries(node, "namespaces", self._problems)
        if isinstance(node, Mapping) and not entries:
            self._problems.add(node, "namespaces: expected at least one, got none")
        found = [self._namespace(name, value, principals) for name, value in entries]
        return tuple(entry for entry in found if entry is not None)

    def _namespace(self, name: Scalar, node: Node, principals: set[str]) -> NamespacePolicy | None:
        what = f"namespace {quoted(name.text)}"
        fields = read_fields(node, what, _NAMESPACE, self._problems)
        if isinstance(node, Mapping) and "writers" not in fields:
            self._problems.add(
                name,
                f'{what}: "writers" is missing',
                "write `writers: {}` for a namespace nobody may write",
            )
        writers = self._writers(fields["writers"], what, principals) if "writers" in fields else ()
        prefixes = self._prefixes(fields, "allowed_prefixes", what)
        limits = self._limits(fields, what)
        lfs = self._choice(fields, "lfs", f"{what}: ", ("forbid", "allow"))
        verify = self._choice(
            fields, "verify", f"{what}: ", (VERIFY_BEFORE_ACK, VERIFY_BEFORE_PUBLISH)
        )
        if read_text(name, "namespaces", self._problems) is None:
            return None
        try:
            ns = parse_namespace(name.text.encode())
        except ValueError as error:
            self._problems.add(name, str(error))
            return None
        return NamespacePolicy(
            ns,
            writers,
            prefixes,
            *limits,
            lfs_forbidden=lfs != "allow",
            verify=verify or VERIFY_BEFORE_ACK,
            chunking=self._chunking(fields["chunks"], f"{what}: chunks")
            if "chunks" in fields
            else DEFAULT_CHUNKING,
            ttl_default_s=read_retention(fields, what, self._problems),
        )

    def _limits(self, fields: dict[str, Node], what: str) -> tuple[int, int, int]:
        value_bytes = self._size(fields, "max_value_inline", what, VALUE_BYTES_MAX)
        total_bytes = self._size(fields, "max_value_total", what, TOTAL_BYTES_MAX)
        count = fields.get("max_keys_per_transaction")
        keys = (
            read_count(count, f"{what}: max_keys_per_transaction", KEYS_MAX, self._problems)
            if count is not None
            else None
        )
        return value_bytes or 1 << 20, total_bytes or 1 << 30, keys or 200_000

    def _chunking(self, node: Node, what: str) -> Chunking:
        """Either of the two forms of spec/policy 5.7."""
        before = len(self._problems)
        fields = read_fields(node, what, ("fixed", *_CONTENT_SIZES), self._problems)
        names = ("fixed",) if "fixed" in fields else _CONTENT_SIZES
        if isinstance(node, Mapping) and set(fields) != set(names):
            self._problems.add(node, f"{what}: expected min, average and max, or fixed alone")
        sizes = [self._size(fields, name, what, MAX_BYTES_MAX) or 0 for name in names]
        if len(self._problems) > before:
            return DEFAULT_CHUNKING
        chunking = Chunking(*(sizes if len(sizes) == 3 else sizes * 3))
        try:
            check_chunking(chunking)
        except ValueError as error:
            self._problems.add(node, f"{what}: {error}")
        return chunking

    def _writers(self, node: Node, what: str, principals: set[str]) -> tuple[Writer, ...]:
        writers = []
        for name, value in read_entries(node, f"{what}: writers", self._problems):
            if (
                read_text(name, f"{what}: writers", self._problems) is not None
                and name.text not in principals
            ):
                self._problems.add(
                    name, f"{what}: writer {quoted(name.text)} is not one of the principals"
                )
            fields = read_fields(
                value, f"{what}: writer {quoted(name.text)}", ("prefixes",), self._problems
            )
            writers.append(
                Writer(
                    name.text,
                    self._prefixes(fields, "prefixes", f"{what}: writer {quoted(name.text)}"),
                )
            )
        return tuple(writers)

    def _prefixes(self, fields: dict[str, Node], field: str, what: str) -> tuple[bytes, ...]:
        # An empty list must not come out as (), which means every key: read_items refuses it
        # (spec/policy 5.3).
        hint = "leave it out to allow every key"
        items = (
            read_items(fields[field], f"{what}: {field}", self._problems, items_min=1, hint=hint)
            if field in fields
            else []
        )
        return tuple(
            prefix
            for item in items
            if (prefix := read_prefix(item, f"{what}: {field}", self._problems)) is not None
        )

    def _size(self, fields: dict[str, Node], field: str, what: str, bytes_max: int) -> int | None:
        return (
            read_size(fields[field], f"{what}: {field}", bytes_max, self._problems)
            if field in fields
            else None
        )

    def _choice(
        self, fields: dict[str, Node], field: str, what: str, choices: tuple[str, str]
    ) -> str | None:
        return (
            read_choice(fields[field], f"{what}{field}", choices, self._problems)
            if field in fields
            else None
        )
