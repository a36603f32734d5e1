"""The one shape of background work.

A follower is level-triggered: each step finds out by itself what there is to do, so a lost wake-up
or a restart loses nothing, and a step too many does nothing. What fails for one namespace it
reports and tries again by itself, and goes on with the others; a step raises only what stops all of
them.
"""

from __future__ import annotations

from typing import Protocol

from gitkv.errors import GitKvError
from gitkv.model.event import Event

POLL_S = 1.0  # the longest pause of a follower that moves of refs wake: they may be missed


class Follower(Protocol):
    """`is_woken`: a move of refs makes it step at once."""

    name: str
    is_woken: bool

    def step(self) -> float:
        """Does what there is to do now; seconds until the next step."""
        ...

    def failed(self, detail: str, hint: str) -> Event:
        """What is reported when a step has raised this, once for each cause."""
        ...

    def recovered(self) -> Event:
        """What is reported at the first step that raises nothing again."""
        ...

    def finish(self) -> None:
        """The last thing it does, when the gateway ends."""
        ...


def cause_of(error: Exception) -> str:
    """What failed, for the log; with its type where that is a defect of ours."""
    return str(error) if isinstance(error, GitKvError) else f"{type(error).__name__}: {error}"
