"""Whoever subscribes hears of every event; the log writes it in either form."""

from __future__ import annotations

import io
import json

import pytest

from gitkv.model.event import Event, LoginRefused, MirrorNone, PushAccepted
from gitkv.telemetry.log import EventLog
from gitkv.telemetry.subscribers import Subscribers

ACCEPTED = PushAccepted("bob", 0.5, "main", 7, 2, 1, "a4" * 20, ("bob", "carol"))


@pytest.mark.parametrize("error", [OSError("full"), MemoryError(), RuntimeError("a defect")])
def test_one_that_fails_holds_up_no_other_and_no_reporter(error: Exception) -> None:
    def fail(event: Event) -> None:
        raise error

    heard = list[Event]()
    subscribers = Subscribers(fail)
    subscribers(MirrorNone())
    subscribers.subscribe(heard.append)
    subscribers(ACCEPTED)
    assert heard == [ACCEPTED]


def _logged(form: str, event: Event) -> str:
    stream = io.StringIO()
    EventLog(form, stream)(event)
    return stream.getvalue().partition(" ")[2] if form == "text" else stream.getvalue()


def test_a_readable_line_has_the_fields_in_order_and_leaves_out_empty_ones() -> None:
    assert _logged("text", ACCEPTED) == (
        f"push.accepted who=bob seconds=0.5 ns=main seq=7 set=2 del=1 ledger={'a4' * 20} "
        "signers=[bob; carol]\n"
    )
    assert _logged("text", LoginRefused("h:1", why="x")) == "login.refused peer=h:1 why=x\n"


def test_an_object_has_all_of_them() -> None:
    found = json.loads(_logged("json", LoginRefused("h:1", why="x")))
    assert list(found) == ["time", "event", "peer", "who", "keys", "why", "unlogged"]
    found = json.loads(_logged("json", ACCEPTED))
    assert found["event"] == "push.accepted" and found["del"] == 1
    assert found["signers"] == ["bob", "carol"]


def test_an_event_does_not_change() -> None:
    with pytest.raises(AttributeError):
        ACCEPTED.who = "eve"  # type: ignore[misc]
