"""Deliveries: what a real receiver hears of changes, and what becomes of it when it does not listen."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from registry import catalog, deliveries, hooks, staging, tree, triggers
from registry.db import hooks as rows_of_hooks
from registry.db import stages
from registry.db.hooks import Claim, Hook
from registry.errors import NotFound
from registry.model import Group, Project
from registry.services import Services
from registry.settings import Settings
from registry.threads import BoundedThreads
from tests.api.published import publish
from tests.people import OPERATOR, People

KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()


@dataclass
class Receiver:
    """What was heard, and what is answered: statuses in turn, the last one for ever."""

    url: str = ""
    heard: list[tuple[dict[str, str], dict[str, Any], bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=lambda: [204])
    answer: str = ""
    location: str = ""

    def told(self) -> list[tuple[str, str]]:
        return [(body["event_name"], body["package"].get("version") or "") for _, body, _ in self.heard]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, stale_seconds=5, hook_networks="127.0.0.0/8")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    known = Receiver()

    async def answer(request: web.Request) -> web.Response:
        raw = await request.read()
        known.heard.append(({k.lower(): v for k, v in request.headers.items()}, json.loads(raw), raw))
        status = known.statuses.pop(0) if len(known.statuses) > 1 else known.statuses[0]
        headers = {"Location": known.location} if known.location else {}
        return web.Response(status=status, text=known.answer if status != 204 else None, headers=headers)

    app = web.Application()
    app.router.add_post("/hook", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        known.url = f"http://127.0.0.1:{server.port}/hook"
        yield known


@pytest.fixture
async def project(people: People) -> Project:
    return await people.project()


async def hook(services: Services, home: Project | Group, url: str, **values: Any) -> Hook:
    fields = {"url": url, "signing_token": KEY, **values}
    return (await hooks.create_hook(services.db, OPERATOR, home, fields, services.settings.hook_ranges()))[0]


@asynccontextmanager
async def working(services: Services, replicas: int = 1) -> AsyncIterator[None]:
    tasks = [
        asyncio.create_task(deliveries.work(services.db, services.settings, idle_seconds=0.02)) for _ in range(replicas)
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not done():
            await asyncio.sleep(0.01)


async def rows(services: Services) -> list[asyncpg.Record]:
    query = "SELECT state, attempts, response_status, response_body, error FROM hook_events ORDER BY id"
    return await services.db.fetch(query)


async def settled(services: Services, state: str, count: int = 1) -> None:
    async with asyncio.timeout(10):
        while [row["state"] for row in await rows(services)].count(state) < count:
            await asyncio.sleep(0.01)


async def hurry(services: Services) -> None:
    """As if the pause, or the turn, were over."""
    await services.db.execute("UPDATE hooks SET next_attempt_at = now(), busy_until = now()")


async def test_every_change_is_told_in_order_and_signed(
    services: Services, project: Project, receiver: Receiver
) -> None:
    made = await hook(services, project, receiver.url, token="of-gitlab")
    package_id = await publish(services, project, "demo", "1.0", package_type="npm")
    await catalog.set_tag(services.db, OPERATOR, project, "npm", "demo", "beta", "1.0")
    await catalog.deprecate(services.db, OPERATOR, project, "npm", "demo", {"1.0": "old"})
    await catalog.delete_tag(services.db, OPERATOR, project, "npm", "demo", "beta")
    await catalog.delete_packages(services.db, OPERATOR, project, [package_id])

    async with working(services, replicas=3):
        await until(lambda: len(receiver.heard) == 5)
        await settled(services, "delivered", 5)
    assert ["publish", "tag", "deprecate", "tag", "delete"] == [event for event, _ in receiver.told()]
    headers, body, raw = receiver.heard[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
    signature = base64.b64encode(hmac.new(b"k" * 32, signed, hashlib.sha256).digest()).decode()
    assert f"v1,{signature}" == headers["webhook-signature"]
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
    assert ("of-gitlab", "Package Hook", services.settings.base_url, body["id"]) == (
        headers["x-gitlab-token"],
        headers["x-gitlab-event"],
        headers["x-gitlab-instance"],
        headers["webhook-id"],
    )
    assert ("package", "publish", "package_published", project.id, project.full_path, "demo", "1.0") == (
        body["object_kind"],
        body["event_name"],
        body["action"],
        body["project"]["id"],
        body["project"]["path_with_namespace"],
        body["package"]["name"],
        body["package"]["version"],
    )
    # Nothing that is counted: after a restore a receiver would take what is new for something it had already.
    assert re.fullmatch("msg_[0-9a-f]{32}", body["id"])
    assert 5 == len({headers["webhook-id"] for headers, _, _ in receiver.heard})
    assert [("delivered", 1, 204, "", "")] * 5 == [tuple(row) for row in await rows(services)]
    assert 0 == (await hooks.find_hook(services.db, project, made.id)).failures


async def test_a_group_hears_of_what_is_below_it_and_a_hook_only_of_what_it_wants(
    services: Services, people: People, receiver: Receiver
) -> None:
    top = await people.group()
    project = await people.project(await people.group(parent=top))
    elsewhere = await people.project()
    await hook(services, top, receiver.url, events=["delete"])
    await hook(services, elsewhere, receiver.url)
    package_id = await publish(services, project, "demo", "1.0")
    await catalog.delete_packages(services.db, OPERATOR, project, [package_id])
    async with working(services):
        await settled(services, "delivered")
    assert [("delete", "1.0")] == receiver.told()


async def test_what_was_not_committed_is_told_to_nobody(
    services: Services, project: Project, receiver: Receiver
) -> None:
    await hook(services, project, receiver.url)
    with pytest.raises(ZeroDivisionError):
        async with services.db.transaction() as tx:
            from registry.db.instance import audit

            await audit(tx, OPERATOR, "package_published", project, name="demo")
            raise ZeroDivisionError
    assert [] == await rows(services)


async def test_a_failure_is_tried_again_and_keeps_its_place(
    services: Services, project: Project, receiver: Receiver
) -> None:
    made = await hook(services, project, receiver.url)
    receiver.statuses, receiver.answer = [500, 302, 204], "not\0now"
    receiver.location = receiver.url
    for version in ("1.0", "2.0"):
        await publish(services, project, "demo", version)
    async with working(services, replicas=2):
        for attempts in (1, 2):
            await until(lambda attempts=attempts: len(receiver.heard) == attempts)  # type: ignore[misc]
            while (await rows(services))[0]["attempts"] < attempts:
                await asyncio.sleep(0.01)
            assert ("pending", "not\ufffdnow") == ((await rows(services))[0]["state"],
                                                   (await rows(services))[0]["response_body"])  # fmt: skip
            found = await hooks.find_hook(services.db, project, made.id)
            assert (attempts, False) == (found.failures, found.disabled)
            await hurry(services)
        await settled(services, "delivered", 2)
    # The redirect was not followed: it would have been a third attempt at once.
    assert ["1.0", "1.0", "1.0", "2.0"] == [version for _, version in receiver.told()]
    assert 2 == len({headers["webhook-id"] for headers, _, _ in receiver.heard})
    assert [("delivered", 3), ("delivered", 1)] == [tuple(row)[:2] for row in await rows(services)]


async def test_a_hook_that_fails_too_often_is_disabled_until_somebody_sends_again(
    services: Services, project: Project, receiver: Receiver
) -> None:
    made = await hook(services, project, receiver.url)
    await services.db.execute("UPDATE hooks SET failures = $1", deliveries.MOST_FAILURES - 1)
    receiver.statuses = [503]
    for version in ("1.0", "2.0"):
        await publish(services, project, "demo", version)
    async with working(services):
        await settled(services, "failed", 2)
        assert (await hooks.find_hook(services.db, project, made.id)).disabled
        # Nothing is kept for it meanwhile.
        await publish(services, project, "demo", "3.0")
        assert 2 == len(await rows(services))

        receiver.statuses = [204]
        (event_id,) = [row["id"] for row in await services.db.fetch("SELECT min(id) AS id FROM hook_events")]
        await hooks.resend_event(services.db, OPERATOR, project, made.id, event_id)
        await settled(services, "delivered")
    assert ["1.0", "1.0"] == [version for _, version in receiver.told()]
    assert not (await hooks.find_hook(services.db, project, made.id)).disabled


async def test_an_endpoint_that_is_gone_is_believed(services: Services, project: Project, receiver: Receiver) -> None:
    made = await hook(services, project, receiver.url)
    receiver.statuses = [410]
    await hooks.test_hook(services.db, OPERATOR, project, made.id, "publish")
    async with working(services):
        await settled(services, "failed")
    assert (await hooks.find_hook(services.db, project, made.id)).disabled


async def test_the_turn_of_a_replica_that_died_is_over_after_a_while(
    services: Services, project: Project, receiver: Receiver
) -> None:
    made = await hook(services, project, receiver.url)
    await hooks.test_hook(services.db, OPERATOR, project, made.id, "tag")
    assert await rows_of_hooks.claim(services.db, deliveries.TURN, 2) is not None
    assert await rows_of_hooks.claim(services.db, deliveries.TURN, 2) is None
    await hurry(services)
    async with working(services):
        await settled(services, "delivered")
    assert [("tag", "")] == receiver.told()


async def test_who_comes_back_after_his_turn_writes_nothing_down(services: Services, project: Project) -> None:
    made = await hook(services, project, "https://hook.example.test")
    await hooks.test_hook(services.db, OPERATOR, project, made.id, "tag")
    late = await rows_of_hooks.claim(services.db, timedelta(), 2)
    other = await rows_of_hooks.claim(services.db, deliveries.TURN, 2)
    assert late is not None
    assert other is not None
    await rows_of_hooks.settle(services.db, late, deliveries.judge(0, 500, "", "", 0.1))
    assert [("pending", 0)] == [tuple(row)[:2] for row in await rows(services)]
    # Nor does the turn end when somebody sends again.
    await hooks.resend_event(services.db, OPERATOR, project, made.id, other.event_id)
    assert await rows_of_hooks.claim(services.db, deliveries.TURN, 2) is None
    await rows_of_hooks.settle(services.db, other, deliveries.judge(0, 204, "", "", 0.1))
    assert [("delivered", 1)] == [tuple(row)[:2] for row in await rows(services)]


async def test_an_attempt_says_nothing_about_a_hook_that_was_repaired_meanwhile(
    services: Services, project: Project
) -> None:
    made = await hook(services, project, "https://old.example.test")
    for _ in range(2):
        await hooks.test_hook(services.db, OPERATOR, project, made.id, "tag")
    claimed = await rows_of_hooks.claim(services.db, deliveries.TURN, 2)
    assert claimed is not None
    changed = {"url": "https://new.example.test"}
    await hooks.update_hook(services.db, OPERATOR, project, made.id, changed, services.settings.hook_ranges())
    await rows_of_hooks.settle(services.db, claimed, deliveries.judge(0, deliveries.GONE, "", "", 0.1))
    found = await hooks.find_hook(services.db, project, made.id)
    assert (0, False) == (found.failures, found.disabled)
    assert [("pending", 1), ("pending", 0)] == [tuple(row)[:2] for row in await rows(services)]
    again = await rows_of_hooks.claim(services.db, deliveries.TURN, 2)
    assert again is not None
    assert ("https://new.example.test", claimed.message_id) == (again.url, again.message_id)


async def test_a_hook_that_is_being_removed_is_in_no_publishers_way(
    services: Services, project: Project, database_url: str
) -> None:
    made = await hook(services, project, "https://hook.example.test")
    other = await hook(services, project, "https://other.example.test")
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("DELETE FROM hooks WHERE id = $1", made.id)
            async with asyncio.timeout(5):
                await publish(services, project, "demo", "1.0")
    finally:
        await connection.close()
    assert [other.id] == [row["hook_id"] for row in await services.db.fetch("SELECT hook_id FROM hook_events")]


async def test_a_deleted_hook_is_told_nothing_and_goes_with_its_log(services: Services, project: Project) -> None:
    made = await hook(services, project, "https://hook.example.test")
    await publish(services, project, "demo", "1.0")
    claimed = await rows_of_hooks.claim(services.db, deliveries.TURN, 2)
    assert claimed is not None
    await hooks.delete_hook(services.db, OPERATOR, project, made.id)
    await publish(services, project, "demo", "2.0")
    assert 1 == len(await rows(services))
    with pytest.raises(NotFound):
        await hooks.test_hook(services.db, OPERATOR, project, made.id, "tag")
    # An attempt that was under way brings nothing back.
    await rows_of_hooks.settle(services.db, claimed, deliveries.judge(0, 204, "", "", 0.1))
    assert await rows_of_hooks.claim(services.db, deliveries.TURN, 2) is None
    await deliveries.tidy(services.db)
    assert [0, 0] == [await services.db.fetchval(f"SELECT count(*) FROM {one}") for one in ("hooks", "hook_events")]


async def test_one_top_level_group_has_only_some_of_the_turns(services: Services, people: People) -> None:
    top, other = await people.group(), await people.project()
    for home in (top, await people.group(parent=top), await people.project(top), other):
        made = await hook(services, home, "https://hook.example.test")
        await hooks.test_hook(services.db, OPERATOR, home, made.id, "tag")
    claims = [await rows_of_hooks.claim(services.db, deliveries.TURN, 2) for _ in range(4)]
    assert [1, 2, 4, None] == [one and one.hook_id for one in claims]
    assert claims[0] is not None
    await rows_of_hooks.settle(services.db, claims[0], deliveries.judge(0, 204, "", "", 0.1))
    third = await rows_of_hooks.claim(services.db, deliveries.TURN, 2)
    assert (third and third.hook_id) == 3


async def test_a_hook_for_which_too_much_waits_is_disabled(
    services: Services, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "MOST_PENDING", 2)
    slow, quick = [await hook(services, project, f"https://{one}.example.test") for one in ("slow", "quick")]
    for made, events in ((slow, 3), (quick, 2)):
        for _ in range(events):
            await hooks.test_hook(services.db, OPERATOR, project, made.id, "tag")
    await deliveries.tidy(services.db)
    found = [(await hooks.find_hook(services.db, project, made.id)).disabled for made in (slow, quick)]
    assert [True, False] == found
    given_up = ("failed", "the hook was disabled: too many events waited for it")
    assert [given_up] * 3 + [("pending", "")] * 2 == [(row["state"], row["error"]) for row in await rows(services)]


async def test_a_server_that_is_too_busy_is_no_failure_of_the_hook(
    services: Services, project: Project, receiver: Receiver
) -> None:
    asyncio.get_running_loop().set_default_executor(BoundedThreads(1, jobs=0))
    made = await hook(services, project, receiver.url)
    await hooks.test_hook(services.db, OPERATOR, project, made.id, "tag")
    paused = "SELECT next_attempt_at > now() AND busy_until <= now() FROM hooks"
    async with working(services), asyncio.timeout(10):
        while not await services.db.fetchval(paused):
            await asyncio.sleep(0.01)
    assert [("pending", 0, None, "", "")] == [tuple(row) for row in await rows(services)]
    assert 0 == (await hooks.find_hook(services.db, project, made.id)).failures


async def test_deliveries_go_on_after_a_restore(
    services: Services, project: Project, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """While one runs there may be no such table."""
    monkeypatch.setattr(deliveries, "_FAULT_SECONDS", 0.02)
    made = await hook(services, project, receiver.url)
    await services.db.execute("ALTER TABLE hook_events RENAME TO hook_events_away")
    async with working(services):
        await until(lambda: "Deliveries stopped" in caplog.text)
        await services.db.execute("ALTER TABLE hook_events_away RENAME TO hook_events")
        await hooks.test_hook(services.db, OPERATOR, project, made.id, "tag")
        await settled(services, "delivered")
    assert 1 == len(receiver.heard)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://localhost:{port}/hook", ""),
        ("http://10.0.0.1/hook", "the URL is an address that may not be reached from here"),
        ("http://no-such-host.invalid/hook", "the host is not known"),
        (f"http://{'a' * 64}.example.test/hook", "the host is not known"),
        ("http://example..test/hook", "the host is not known"),
        ("http://2130706433/hook", "the URL is an address in a form that is not taken"),
        ("http://127.0.0.1:9/hook", "the host does not accept a connection"),
        ("https://127.0.0.1:{port}/hook", "the host does not speak TLS"),
    ],
)
async def test_the_log_says_why_there_was_no_answer(
    services: Services, project: Project, receiver: Receiver, url: str, error: str
) -> None:
    made = await hook(services, project, receiver.url)
    await services.db.execute("UPDATE hooks SET url = $1", url.format(port=receiver.url.split(":")[2].split("/")[0]))
    await hooks.test_hook(services.db, OPERATOR, project, made.id, "tag")
    async with working(services):
        async with asyncio.timeout(10):
            while not (await rows(services))[0]["attempts"]:
                await asyncio.sleep(0.01)
    assert error == (await rows(services))[0]["error"]


async def test_a_name_that_leads_inside_is_not_connected_to(
    services: Services, project: Project, receiver: Receiver
) -> None:
    object.__setattr__(services.settings, "hook_networks", "")
    await hook(services, project, receiver.url.replace("127.0.0.1", "localhost"))
    await publish(services, project)
    async with working(services):
        async with asyncio.timeout(10):
            while not (await rows(services))[0]["attempts"]:
                await asyncio.sleep(0.01)
    ((state, _, status, body, error),) = [tuple(row) for row in await rows(services)]
    assert ("pending", None, "") == (state, status, body)
    assert "The host leads to no address that may be reached from here" == error
    assert [] == receiver.heard


async def test_a_long_answer_is_cut_off(services: Services, project: Project, receiver: Receiver) -> None:
    receiver.statuses, receiver.answer = [200], "x" * 10_000_000
    await hook(services, project, receiver.url)
    await publish(services, project)
    async with working(services):
        await settled(services, "delivered")
    assert deliveries.MOST_ANSWER == len((await rows(services))[0]["response_body"])


async def test_old_events_are_forgotten_and_those_that_wait_are_not(
    services: Services, project: Project, receiver: Receiver
) -> None:
    made = await hook(services, project, receiver.url)
    for _ in range(3):
        await hooks.test_hook(services.db, OPERATOR, project, made.id, "tag")
    await services.db.execute("UPDATE hook_events SET created_at = now() - interval '8 days'")
    await services.db.execute("UPDATE hook_events SET state = 'delivered' WHERE id % 3 <> 0")
    assert 2 == await rows_of_hooks.trim(services.db, deliveries.KEPT)
    assert ["pending"] == [row["state"] for row in await rows(services)]


async def test_a_group_hears_of_stages_that_expired_and_of_projects_that_were_deleted(
    services: Services, people: People
) -> None:
    top = await people.group()
    project = await people.project(await people.group(parent=top))
    await hook(services, top, "https://hook.example.test")
    stage_id = await staging.create(services.db, OPERATOR, project, "npm")
    await services.db.execute("UPDATE stages SET expires_at = now()")
    (expired,) = await stages.list_expired(services.db, 9)
    assert await staging.expire(services.db, expired)
    await tree.delete_project(services.db, OPERATOR, project)
    told = await services.db.fetch("SELECT trigger, payload FROM hook_events ORDER BY id")
    assert [
        ("stage", "package_stage_created", project.full_path, str(stage_id)),
        ("stage", "package_stage_expired", project.full_path, str(stage_id)),
        ("delete", "project_deleted", project.full_path, None),
    ] == [
        (trigger, body["action"], body["project"]["path_with_namespace"], body["package"].get("stage_id"))
        for trigger, body in told
    ]


async def test_what_is_deleted_takes_its_hooks_along(services: Services, project: Project, receiver: Receiver) -> None:
    await hook(services, project, receiver.url)
    await publish(services, project)
    await tree.delete_project(services.db, OPERATOR, project)
    assert [] == await rows(services)


def a_claim(**package: Any) -> Claim:
    payload = {"object_kind": "package", "event_name": "deprecate", "package": package}
    return Claim(1, "https://example.test", None, KEY, True, 0, datetime.now(UTC), 0, 7, UUID(int=7), payload)


def test_details_that_are_too_many_are_left_out() -> None:
    claimed = a_claim(name="demo", versions={str(number): "x" * 100 for number in range(20_000)})
    body = json.loads(deliveries.body_of(claimed))
    assert ({"name": "demo"}, True, f"msg_{7:032x}") == (body["package"], body["truncated"], body["id"])
    assert len(deliveries.body_of(claimed)) < deliveries.MOST_BODY


@given(st.integers(1, 100))
def test_pauses_double_up_to_a_bound(failures: int) -> None:
    middle = min(10.0 * 2 ** (failures - 1), 6 * 3600.0)
    assert 0.8 * middle <= deliveries.pause(failures) <= 1.2 * middle


def test_every_trigger_is_one_of_those_that_are_offered() -> None:
    assert {"publish", "delete", "tag", "deprecate", "yank", "stage"} == set(triggers.NAMES)
