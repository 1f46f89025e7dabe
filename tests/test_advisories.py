"""Advisories: what loading puts in place, and what it leaves."""

from __future__ import annotations

from typing import Any

import pytest

from registry import advisories, osv
from registry.advisories import Loaded
from registry.db import advisories as rows
from registry.errors import NotFound
from registry.osv import Advisory
from registry.services import Services
from tests.people import OPERATOR


def advisory(osv_id: str, day: int = 1, *, name: str = "gadget", **fields: Any) -> Advisory:
    affected = [{"package": {"ecosystem": "npm", "name": name}, "versions": ["1.0.0"]}]
    modified = f"2026-01-{day:02}T00:00:00Z"
    return osv.parse({"id": osv_id, "modified": modified, "summary": f"day {day}", "affected": affected, **fields})


async def load(services: Services, *found: Advisory, replace: bool = False, keep: tuple[str, ...] = ()) -> Loaded:
    return await advisories.load(services.db, OPERATOR, found, replace=replace, keep=keep)


async def about(services: Services, *names: str) -> list[tuple[str, str]]:
    found = await rows.list_about(services.db, "npm", names or ("gadget",), details=0, limit=9)
    return [(one.osv_id, one.title) for one in found]


async def test_newer_states_replace_older_ones_and_never_the_other_way(services: Services) -> None:
    assert Loaded(2, 0, 0) == await load(services, advisory("A", 2), advisory("B", 2), advisory("B", 1))
    assert [("A", "day 2"), ("B", "day 2")] == await about(services)

    assert Loaded(1, 1, 0) == await load(services, advisory("A", 1), advisory("B", 3, name="other"))

    assert [("A", "day 2")] == await about(services)
    assert [("B", "day 3")] == await about(services, "other")
    assert [] == await rows.list_about(services.db, "PyPI", ["gadget"], details=0, limit=9)


async def test_withdrawn_ones_go_and_replacing_keeps_ones_own(services: Services) -> None:
    await load(services, *(advisory(one) for one in ("GHSA-1", "GHSA-2", "GHSA-3", "ACME-1")))

    assert Loaded(0, 0, 1) == await load(services, advisory("GHSA-1", 2, withdrawn="2026-01-02T00:00:00Z"))
    assert Loaded(1, 0, 1) == await load(services, advisory("GHSA-2"), replace=True, keep=("ACME-",))

    assert ["GHSA-2", "ACME-1"] == [osv_id for osv_id, _ in await about(services)]
    assert Loaded(0, 0, 2) == await load(services, replace=True)
    assert not await rows.exist(services.db)


async def test_many_are_loaded_in_one_transaction_or_none(services: Services) -> None:
    def broken() -> Any:
        yield from (advisory(f"A-{number}") for number in range(1_200))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await advisories.load(services.db, OPERATOR, broken(), replace=False)
    assert not await rows.exist(services.db)

    assert Loaded(1_200, 0, 0) == await load(services, *(advisory(f"A-{number}") for number in range(1_200)))
    assert [("high", 1_200)] == [(one.severity, one.advisories) for one in await rows.count(services.db)]
    events = await services.db.fetch("SELECT event_name, details FROM audit_events WHERE event_name ~ 'advisories'")
    assert [("advisories_loaded", 1_200)] == [(one["event_name"], one["details"]["put"]) for one in events]


async def test_some_are_removed_or_none(services: Services) -> None:
    await load(services, advisory("A"), advisory("B"), advisory("C"))

    with pytest.raises(NotFound):
        await advisories.remove(services.db, OPERATOR, ["A", "D"])
    assert 3 == len(await about(services))
    await advisories.remove(services.db, OPERATOR, ["A", "C", "A"])
    assert ["B"] == [osv_id for osv_id, _ in await about(services)]
