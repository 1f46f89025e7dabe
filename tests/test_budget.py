"""Budgets: never overdrawn, first come first served, and whole again when everybody has left."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from registry.budget import Budget
from registry.errors import TooBusy


@rules(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 15), max_size=30), st.integers(0, 2**16))
def test_a_budget_is_never_overdrawn_and_whole_in_the_end(amounts: list[int], seed: int) -> None:
    async def main() -> None:
        chance, served = random.Random(seed), list[int]()  # noqa: S311
        budget = Budget(10, waiting=100, seconds=5, refusal="come back")

        async def use(number: int, amount: int) -> None:
            async with budget.share(amount):
                served.append(number)
                assert budget.taken <= 10
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)

        users = [asyncio.create_task(use(number, amount)) for number, amount in enumerate(amounts)]
        for user in users:
            if chance.random() < 0.3:
                await asyncio.sleep(0)
                user.cancel()
        await asyncio.gather(*users, return_exceptions=True)
        assert (0, sorted(served)) == (budget.taken, served)

    asyncio.run(main())


async def test_who_gets_nothing_in_time_is_told_and_makes_way_for_who_wants_less() -> None:
    budget = Budget(10, waiting=2, seconds=0.2, refusal="come back")
    async with budget.share(6):
        much = asyncio.create_task(_once(budget, 10))
        await asyncio.sleep(0.1)
        little = asyncio.create_task(_once(budget, 3))
        await asyncio.sleep(0)
        with pytest.raises(TooBusy, match="come back"):  # at once: two wait already
            await _once(budget, 1)
        with pytest.raises(TooBusy, match="come back"):
            await much
        await little
    assert 0 == budget.taken


async def _once(budget: Budget, amount: int) -> None:
    async with budget.share(amount):
        pass
