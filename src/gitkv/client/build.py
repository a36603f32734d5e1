"""From a draft and a tip to a transaction that could be sent: planned, composed, signed, packed.
Nothing is stored or moved yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gitkv.client.author import Author
from gitkv.client.cutting import NewObjects, Values
from gitkv.client.draft import check_expectations
from gitkv.client.policy import default_ttl_s
from gitkv.client.replica import Replica
from gitkv.client.values import Written
from gitkv.errors import IntegrityError
from gitkv.git.pack import Pack, PackWriter
from gitkv.ledger.compose import Tip, Transaction, compose
from gitkv.ledger.plan import Plan, plan_changes
from gitkv.ledger.plan import Put as PlannedPut
from gitkv.model.oid import Oid
from gitkv.model.verdict import FormError


class Built(NamedTuple):
    """A transaction on `base`: its objects as a pack, to be closed, and one by one but for
    chunks.
    """

    base: Tip
    plan: Plan
    transaction: Transaction
    pack: Pack
    new_objects: NewObjects

    @property
    def tip(self) -> Tip:
        """The tip that this transaction makes."""
        return self.transaction.tip

    def written(self, receipt: str = "") -> Written:
        """What the caller learns of the write. `receipt`: its text, "" for none."""
        said = self.tip.ledger.attestation
        return Written(
            self.tip.ledger.oid.hex(),
            said.seq,
            said.txn,
            True,
            said.keys_set,
            said.keys_del,
            receipt,
        )


def build(replica: Replica, base: Tip, values: Values, author: Author) -> Built | None:
    """The transaction of a draft's values on `base`; None when nothing would change.

    Raises ConflictError or KeyNotFoundError when the draft expects another state, IntegrityError
    when the base is malformed, and what `Values.changes` raises.
    """
    try:
        now_s = replica.host.now_s()
        check_expectations(values.draft, base, replica.load, now_s)
        changes = _with_expiry(replica, values.changes(base, now_s), now_s)
    except FormError as error:
        raise _malformed(base, error) from None
    writer = PackWriter(replica.repository.common_dir, first=values.first)
    new_objects: NewObjects = dict(values.trees)

    def emit(kind: bytes, body: bytes) -> Oid:
        oid = writer.add(kind, body)
        new_objects[oid] = kind, body
        return oid

    try:
        plan = plan_changes(base.trees, base.seq + 1, changes, replica.load, emit)
        if plan.keys_set + plan.keys_del == 0:
            writer.close()
            return None
        transaction = compose(base, plan, author.stamp(), author.sign, replica.load, emit)
        return Built(base, plan, transaction, writer.finish(), new_objects)
    except FormError as error:
        writer.close()
        raise _malformed(base, error) from None
    except BaseException:
        writer.close()
        raise


def _with_expiry(
    replica: Replica, changes: Mapping[bytes, PlannedPut | None], now_s: int
) -> Mapping[bytes, PlannedPut | None]:
    """The changes with the expiry that the policy has for values of which nothing is said."""
    if all(put is None or put.expires for put in changes.values()):
        return changes
    ttl_s = default_ttl_s(replica)
    if not ttl_s:
        return changes
    return {
        name: put and put._replace(expires=put.expires or now_s + ttl_s)
        for name, put in changes.items()
    }


def _malformed(base: Tip, error: FormError) -> IntegrityError:
    return IntegrityError(f"the store at {base.ledger.oid.hex()} is malformed: {error}")


def unchanged(tip: Tip) -> Written:
    """The outcome of a write that changes nothing."""
    return Written(tip.ledger.oid.hex(), tip.seq, "", False, 0, 0, "")
