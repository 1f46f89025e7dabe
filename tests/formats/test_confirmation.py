"""What was allowed when an upload began is asked again before it becomes visible."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import FormData

from registry import tree
from registry.access import AccessLevel
from tests.people import OPERATOR, People


async def test_a_member_who_is_removed_while_the_body_arrives_publishes_nothing(people: People) -> None:
    project = await people.project()
    developer = await people.member(project, AccessLevel.DEVELOPER)
    assert developer.user_id is not None
    form = FormData()
    form.add_field("name", "demo")
    form.add_field("version", "1.0")
    form.add_field("content", b"x" * 100_000, filename="demo-1.0.tar.gz")
    whole = await form().as_bytes()
    removed = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield whole[:50_000]
        await tree.remove_member(people.services.db, OPERATOR, project, developer.user_id or 0)
        removed.set()
        yield whole[50_000:]

    path = f"/api/v4/projects/{project.id}/packages/pypi"
    response = await developer.ask("POST", path, data=body(), headers={"Content-Type": form().content_type})

    assert (404, True) == (response.status, removed.is_set())
    page = await people.root.get(f"{path}/simple")
    assert "demo" not in (await page.text()).replace("demonstration", "")
    assert [] == [stored async for stored in people.services.store.list()]
