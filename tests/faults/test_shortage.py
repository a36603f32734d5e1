"""A gateway that is short of something refuses for now, leaves nothing, and works again as soon as
there is room; a judgement that takes too long is refused for good.
"""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path

import pytest
from support.gateway import NS, Gateway
from support.os_faults import FailingDisk

from gitkv.daemon.receive_session import _failed
from gitkv.errors import GitKvError, IntegrityError, RejectedError, ToolError
from gitkv.gateway.receive import receive
from gitkv.git.quarantine import Quarantine
from gitkv.git.quarantine_folder import sweep
from gitkv.git.shortage import shortage_in, shortage_of
from gitkv.model.heads import NOWHERE
from gitkv.wire.push_grammar import TransactionPush

SHORT = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)


def files(gateway: Gateway) -> set[str]:
    return {
        str(path.relative_to(gateway.git_dir))
        for path in gateway.git_dir.rglob("*")
        if path.is_file()
    }


def begins(name: str, what: object) -> bool:
    return name == "mkdir" and "quarantine" in str(what)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
def test_whichever_call_fails_for_want_of_room_nothing_stays_and_the_next_push_works(
    gateway: Gateway, number: int
) -> None:
    gateway.push()
    recorded = FailingDisk(begins)
    with pytest.MonkeyPatch.context() as patch:
        recorded.install(patch)
        assert gateway.push().verdict.accepted
    until = next(at for at, call in enumerate(recorded.calls) if "packed-refs.lock" in call)
    for at in range(1, until + 1):
        if recorded.calls[at - 1].startswith("close"):
            continue  # never for want of room
        made, before, refs = gateway.transaction(), files(gateway), gateway.refs()
        with pytest.MonkeyPatch.context() as patch:
            FailingDisk(begins, at, number).install(patch)
            try:
                accepted = gateway.push(made).verdict.accepted
            except (GitKvError, OSError) as error:
                accepted = False
                assert shortage_of(error), (recorded.calls[at - 1], error)
        sweep(str(gateway.git_dir))  # as maintenance does
        if accepted:
            continue
        assert gateway.refs() == refs
        assert files(gateway) == before, recorded.calls[at - 1]
    assert gateway.push().verdict.accepted


@pytest.mark.parametrize("number", SHORT)
def test_a_machine_that_is_short_of_something_says_later(gateway: Gateway, number: int) -> None:
    cause = OSError(number, os.strerror(number))
    wrapped = ToolError("git could not be started")
    wrapped.__cause__ = cause
    for error in (cause, wrapped, MemoryError(), RuntimeError("can't start new thread")):
        refusal = RejectedError(_failed(gateway.stargate.report, error).verdict)
        assert (refusal.exit_code, refusal.retry) == (5, "later")
        assert "try again" in refusal.verdict.reasons[0].hint


def test_a_gateway_that_is_broken_says_never(gateway: Gateway) -> None:
    for error in (OSError(errno.EIO, "Input/output error"), IntegrityError("a ref is missing")):
        refusal = RejectedError(_failed(gateway.stargate.report, error).verdict)
        assert (refusal.exit_code, refusal.retry) == (5, "never")


def test_gits_own_words_for_a_full_disk_are_known() -> None:
    assert shortage_in("fatal: write error: No space left on device")
    assert shortage_in("fatal: Unable to create temporary file: Too many open files")
    said = "fatal: sha1 file '/x/tmp_idx_2OqUMO' write error. Out of diskspace"
    assert shortage_in(said) == os.strerror(errno.ENOSPC)
    assert not shortage_in("fatal: pack has bad object at offset 12: inflate returned -3")
    assert not shortage_in("fatal: Out of memory, malloc failed"), "a limit of ours says the same"


def test_a_judgement_ends_when_its_time_is_over(gateway: Gateway, tmp_path: Path) -> None:
    """The clock moves by a second with each look at it: what counts is the number of reads."""
    transaction, writer = gateway.transaction()
    quarantine = Quarantine(gateway.git)
    for chunk in writer.finish().chunks():
        quarantine.feed(chunk)
    before, ticks = gateway.refs(), itertools.count(step=100)

    answer = receive(
        gateway.stargate.receiving,
        TransactionPush(NS, transaction.before or NOWHERE, transaction.tip.heads),
        quarantine,
        quarantine.finish(),
        monotonic=lambda: float(next(ticks)),
    )

    [found] = answer.verdict.reasons
    assert (found.code, found.rule) == (3, "push.too-long")
    assert RejectedError(answer.verdict).retry == "never"
    assert gateway.refs() == before
    assert list((gateway.git_dir / "kv" / "quarantine").iterdir()) == []
    assert gateway.push().verdict.accepted
