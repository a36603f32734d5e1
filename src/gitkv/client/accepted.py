"""Which transaction was the newest at a moment: by the gateway's receipts in a clone, by the
commits' own times in a standalone store. Costs one walk of git's over the commits since then.
"""

from __future__ import annotations

import os

from gitkv.client.replica import Replica
from gitkv.client.trust.receipt import receipt_ref
from gitkv.git.ancestry import newest_until
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.refs import ledger_ref
from gitkv.verifying.receipts import parse_receipt


def accepted_until(replica: Replica, moment_s: int) -> Oid | None:
    """The ledger commit of the newest receipt whose time is not after `moment_s`, seconds since
    1970; None when there is none. Raises FormError, ToolError.
    """
    line = receipt_ref(replica.ns) if replica.remote else ledger_ref(replica.ns)
    [newest] = replica.objects.resolve([os.fsdecode(line)])
    found = None if newest is None else newest_until(replica.git, newest, moment_s)
    if found is None or not replica.remote:
        return found
    return parse_receipt(found, replica.load(found, COMMIT)).ledger
