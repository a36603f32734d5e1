"""An error raised in a worker process reaches its caller with all that it says."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import gitkv
from gitkv import errors
from gitkv.model.verdict import POLICY, Reason, refuse

_REASON = Reason(POLICY, "prefix.forbidden", "key a", "one of bob:", "a", "ask an admin")


def _refused() -> None:
    raise errors.RejectedError(refuse([_REASON]))


def test_an_error_of_a_worker_process_arrives_at_its_caller() -> None:
    with ProcessPoolExecutor(1) as pool:
        caught = pool.submit(_refused).exception(timeout=60)
    assert isinstance(caught, gitkv.RejectedError)
    assert caught.verdict.reasons == (_REASON,) and caught.exit_code == POLICY
