"""What a clone remembers of its trust, as refs: so git keeps the objects, and all of it moves with
the trusted heads or not at all.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from gitkv.client.replica import Replica
from gitkv.client.trust.receipt import receipt_ref
from gitkv.errors import UsageError
from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import Namespace, Ref, RefUpdate

PIN = "kv.gatewaykey"  # the setting: fingerprint of the gateway key that trust began with
POLICY_TRUSTED = Ref(b"refs/kv-trust/policy")

_WRITTEN = b"refs/kv-trust/written/"
_SHOWN = b"refs/kv-trust/shown/"


_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


def parse_pin(text: str) -> str:
    """A fingerprint as `ssh-keygen -l` and `remote setup` print it, "" for none. Raises
    UsageError.
    """
    if text and _FINGERPRINT.fullmatch(text) is None:
        raise UsageError(
            f"gateway key {text[:60]!r}: expected a fingerprint, SHA256: and 43 characters"
        )
    return text


class Memory(NamedTuple):
    """`policy`: the newest proved policy commit; `receipt`: the newest proved watchlog entry;
    `written`: our newest ledger commit that Stargate accepted, whose receipt may still be on its
    way; `shown`: the entry up to which the source in question has shown its ledger. None: nothing
    yet.
    """

    policy: Oid | None = None
    receipt: Oid | None = None
    written: Oid | None = None
    shown: Oid | None = None


def written_ref(ns: Namespace) -> Ref:
    """The ref of the newest transaction of this clone that Stargate accepted."""
    return Ref(_WRITTEN + ns.encode())


def shown_ref(ns: Namespace, source: str) -> Ref:
    """`source`: the name that its tracking refs have."""
    return Ref(b"%b%b/%b" % (_SHOWN, ns.encode(), source.encode()))


def shown_refs(ns: Namespace) -> bytes:
    """The prefix of all `shown_ref` of a namespace."""
    return b"%b%b/" % (_SHOWN, ns.encode())


def read_memory(replica: Replica, source: str) -> Memory:
    """What this clone remembers about a source and about the namespace."""
    ns = replica.ns
    refs = [POLICY_TRUSTED, receipt_ref(ns), written_ref(ns), shown_ref(ns, source)]
    return Memory(*replica.objects.resolve([os.fsdecode(ref) for ref in refs]))


def change(ref: Ref, old: Oid | None, new: Oid | None) -> list[RefUpdate]:
    """The move of one ref; none when nothing changes."""
    return [] if old == new else [RefUpdate(ref, old or ZERO_OID, new or ZERO_OID)]
