"""Whether writes are let in. They are held where this repository may be older than what it has
acknowledged (docs/adr/0014).
"""

from __future__ import annotations

from gitkv.errors import UnavailableError
from gitkv.gateway.telling import Announcements


class WriteHold:
    """`because`: why no write is let in now, "" when they are. Followers are woken at the end."""

    def __init__(self, announcements: Announcements) -> None:
        self._announcements = announcements
        self.because = ""

    def begin(self, why: str) -> bool:
        """Lets no write in until `end`; whether that is a new reason."""
        is_new, self.because = why != self.because, why
        return is_new

    def end(self) -> None:
        """Lets writes in again."""
        self.because = ""
        self._announcements.announce()

    def check(self) -> None:
        """Raises UnavailableError while writes are held."""
        why = self.because
        if why:
            raise UnavailableError(
                f"writes are held: {why}", hint="tell the operator: docs/operate/backup.md"
            )
