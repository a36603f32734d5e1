"""A session waits for its turn, holds it for a limited time, and leaves no gap."""

from __future__ import annotations

import asyncio

from gitkv.daemon.place import Place
from gitkv.gateway.turns import Turns
from gitkv.model.refs import Namespace

MAIN = Namespace("main")


def _nothing(others: int) -> None:
    pass


def test_sessions_get_their_turns_in_the_order_they_came() -> None:
    async def story() -> list[str]:
        turns, order = Turns(), list[str]()

        async def write(who: str) -> None:
            place = Place(turns, who)
            assert await place.take(MAIN, _nothing)
            order.append(who)
            await asyncio.sleep(0)
            place.close()

        await asyncio.gather(*(write(who) for who in "abcdefgh"))
        assert turns.busy() == []
        return order

    assert asyncio.run(story()) == list("abcdefgh")


def test_a_turn_that_runs_out_goes_to_the_next_and_is_no_longer_held() -> None:
    async def story() -> None:
        turns = Turns()
        slow, next_one = Place(turns, "slow", turn_s=0.01), Place(turns, "next")
        await slow.take(MAIN, _nothing)
        slow.limit()
        assert slow.is_held
        await asyncio.wait_for(next_one.take(MAIN, _nothing), 10)
        assert not slow.is_held
        slow.close()
        assert next_one.is_held

    asyncio.run(story())


def test_a_turn_that_is_worked_on_does_not_run_out() -> None:
    async def story() -> None:
        turns = Turns()
        first, second = Place(turns, "first", turn_s=0.0), Place(turns, "second")
        await first.take(MAIN, _nothing)
        first.limit()
        first.keep()
        waiting = asyncio.ensure_future(second.take(MAIN, _nothing))
        await asyncio.sleep(0.02)
        assert first.is_held and not waiting.done()
        first.close()
        assert await waiting

    asyncio.run(story())


def test_a_client_that_leaves_while_it_waits_gives_up_its_place() -> None:
    async def story() -> None:
        turns = Turns()
        first, leaver, third = (Place(turns, who) for who in ("first", "leaver", "third"))
        await first.take(MAIN, _nothing)
        gone: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        leaving = asyncio.ensure_future(leaver.take(MAIN, _nothing, gone))
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(third.take(MAIN, _nothing))
        await asyncio.sleep(0)
        gone.set_result(b"")
        assert not await leaving
        first.close()
        assert await waiting
        third.close()
        assert turns.busy() == []

    asyncio.run(story())


def test_a_session_that_is_cancelled_while_it_waits_holds_up_nobody() -> None:
    async def story() -> None:
        turns = Turns()
        first, second, third = (Place(turns, who) for who in ("first", "second", "third"))
        await first.take(MAIN, _nothing)

        async def session() -> None:
            try:
                await second.take(MAIN, _nothing)
            finally:
                second.close()

        task = asyncio.ensure_future(session())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        first.close()
        assert await asyncio.wait_for(third.take(MAIN, _nothing), 10)

    asyncio.run(story())
