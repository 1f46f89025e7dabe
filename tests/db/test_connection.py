"""The pool, when connections are lost at awkward moments."""

from __future__ import annotations

import asyncio

import pytest

from registry.errors import Conflict
from registry.services import Services


@pytest.mark.parametrize("seconds", [0, 0.05, 0.2])
async def test_what_a_transaction_found_out_is_told_though_its_connection_is_lost(
    services: Services, seconds: float
) -> None:
    with pytest.raises(Conflict):
        async with services.db.transaction() as tx:
            backend = await tx.fetchval("SELECT pg_backend_pid()")
            await services.db.execute("SELECT pg_terminate_backend($1)", backend)
            await asyncio.sleep(seconds)
            raise Conflict
    assert 1 == await services.db.fetchval("SELECT 1")
