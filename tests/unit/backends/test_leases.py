from __future__ import annotations

import asyncio

import pytest

from twinloop.backends.leases import Leases
from twinloop.core.errors import Unavailable


class Engine:
    def __init__(self) -> None:
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


async def fresh() -> Engine:
    await asyncio.sleep(0.01)
    return Engine()


async def test_holders_of_one_key_share_one_engine() -> None:
    leases: Leases[Engine] = Leases()
    (first, _), (second, _), (other, _) = await asyncio.gather(
        leases.take("a", fresh), leases.take("a", fresh), leases.take("b", fresh)
    )
    assert first is second
    assert first is not other


async def test_the_last_holder_closes_the_engine() -> None:
    leases: Leases[Engine] = Leases()
    engine, give_first = await leases.take("a", fresh)
    _, give_second = await leases.take("a", fresh)
    await give_first()
    await give_first()
    assert engine.closed == 0
    await give_second()
    assert engine.closed == 1
    assert leases.engines == {}


async def test_a_key_given_back_opens_anew() -> None:
    leases: Leases[Engine] = Leases()
    engine, give_back = await leases.take("a", fresh)
    await give_back()
    again, _ = await leases.take("a", fresh)
    assert again is not engine


async def test_an_engine_that_does_not_open_may_be_tried_again() -> None:
    async def broken() -> Engine:
        raise Unavailable("not now")

    leases: Leases[Engine] = Leases()
    with pytest.raises(Unavailable):
        await leases.take("a", broken)
    engine, _ = await leases.take("a", fresh)
    assert engine.closed == 0
