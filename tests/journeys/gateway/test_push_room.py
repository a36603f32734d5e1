"""All pushes under way together take no more than the machine has, and nobody's keep out the
others'.
"""

from __future__ import annotations

from contextlib import closing

import pytest
from support.gateway import Gateway

from gitkv.errors import UnavailableError
from gitkv.gateway.push_room import PushRoom
from gitkv.git.pack import PackWriter
from gitkv.git.quarantine import Quarantine
from gitkv.model.oid import BLOB


def test_a_pack_is_refused_for_now_when_it_would_take_more_than_is_left(gateway: Gateway) -> None:
    room = PushRoom(all_bytes=3 << 20, of_one_bytes=3 << 20)
    writer = PackWriter(str(gateway.root))
    for number in range(40):
        writer.add(BLOB, b"%d" % number + bytes(1 << 18))
    with closing(room.share("bob")) as share:
        share.grow_to(3 << 20)
        other = room.share("bob")
        quarantine = Quarantine(gateway.git, reserve=other.grow_to)

        with pytest.raises(UnavailableError):
            for chunk in writer.finish().chunks():
                quarantine.feed(chunk)

    assert list((gateway.git_dir / "kv" / "quarantine").iterdir()) == []
