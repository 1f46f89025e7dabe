"""What real clients do, as followers of the feed and receivers of webhooks hear of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from registry.access import AccessLevel
from registry.services import Services
from registry.settings import Settings
from tests.clients import npm
from tests.clients.process import Client
from tests.people import People
from tests.test_deliveries import Receiver, hook, receiver, settled, working  # noqa: F401  # a fixture among them

pytestmark = pytest.mark.client


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, stale_seconds=5, hook_networks="127.0.0.0/8")


async def test_what_npm_publishes_and_tags_is_in_the_feed_and_told_to_hooks(
    services: Services,
    people: People,
    receiver: Receiver,  # noqa: F811
    find_client: Callable[[str], Client],
    home: Path,
    tmp_path: Path,
) -> None:
    client, project = find_client("npm-12"), await people.project(visibility="private")
    developer = await people.member(project, AccessLevel.DEVELOPER)
    await hook(services, project, receiver.url)
    feed = f"/api/v4/projects/{project.id}/packages/npm/_changes"
    since = (await (await developer.get(feed)).json())["last_seq"]
    directory = npm.write_package(tmp_path / "package", "@acme/part", "1.0.0")
    npm.configure(client, people, directory, project, developer)

    await npm.done(client, *npm.PUBLISH["npm-12"], cwd=directory, home=home)
    page = await (await developer.get(feed, params={"since": since})).json()
    assert [("@acme/part", False)] == [(one["id"], one["deleted"]) for one in page["results"]]

    await npm.done(client, "dist-tag", "add", "@acme/part@1.0.0", "next", cwd=directory, home=home)
    page = await (await developer.get(feed, params={"since": page["last_seq"]})).json()
    assert ["@acme/part"] == [one["id"] for one in page["results"]]

    async with working(services):
        await settled(services, "delivered", 2)
    assert [("publish", "1.0.0"), ("tag", "1.0.0")] == receiver.told()
