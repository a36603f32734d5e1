"""All pushes under way together take no more than the machine has, and nobody's keep out the
others'.
"""

from __future__ import annotations

from contextlib import closing

import pytest

from gitkv.errors import UnavailableError
from gitkv.gateway.push_room import PushRoom


def test_one_principal_leaves_room_for_others() -> None:
    room = PushRoom(all_bytes=100, of_one_bytes=60)
    bob = [room.share("bob") for _ in range(4)]
    for share in bob[:3]:
        share.grow_to(20)

    with pytest.raises(UnavailableError, match="the pushes of bob"):
        bob[3].grow_to(1)
    room.share("alice").grow_to(40)
    with pytest.raises(UnavailableError, match="other pushes"):
        room.share("carol").grow_to(1)


def test_what_a_push_took_is_given_back_once() -> None:
    room = PushRoom(all_bytes=100, of_one_bytes=60)
    for _ in range(10):
        with closing(room.share("bob")) as share:
            share.grow_to(30)
            share.grow_to(20)
            share.grow_to(60)
        share.close()
    room.share("alice").grow_to(60)
