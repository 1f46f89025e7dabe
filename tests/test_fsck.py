"""fsck: a registry in use is clean, each kind of damage is told and mended, and nothing is ever lost by mending."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from registry import app, catalog, fsck, janitor
from registry.access import AccessLevel
from registry.errors import Unavailable
from registry.fsck import Finding, Mode
from registry.model import Group, Project
from registry.services import Services
from tests import inventory
from tests.formats.npm import transcripts
from tests.people import OPERATOR, People
from tests.staging import open_stage, stage_file, stage_version

EXAMINE = {one.package_type: one.examine for one in app.FORMATS}
REPAIR = Mode(repair=True)
both_stores = pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)


@pytest.fixture
async def group(people: People) -> Group:
    return await people.group("acme", visibility="public")


@pytest.fixture
async def project(people: People, group: Group) -> Project:
    """With two versions of a PyPI package and one of an npm package."""
    project = await people.project(group, "tools", visibility="public")
    developer = await people.member(project, AccessLevel.MAINTAINER)
    for version in ("1.0", "2.0"):
        await developer.upload(project, f"demo-{version}.tar.gz", version.encode(), name="Demo", version=version)
    await transcripts.publish(developer, project, "@acme/widget", "1.0.0")
    return project


async def check(services: Services, mode: Mode | None = None) -> list[Finding]:
    return [finding async for finding in fsck.run(services.db, services.store, EXAMINE, mode)]


async def kinds(services: Services, mode: Mode | None = None) -> list[tuple[str, bool]]:
    return [(finding.kind, finding.repaired) for finding in await check(services, mode)]


def files(services: Services) -> list[Path]:
    """The objects in the order of their keys."""
    root = inventory.root_of(services)
    return sorted(path for path in root.rglob("*") if path.is_file() and ".incoming" not in path.parts)


async def put(services: Services, key: str, content: bytes) -> None:
    writer = services.store.writer(key)
    await writer.write(content)
    await writer.commit()


async def ages(services: Services, days: float) -> None:
    """All that is stored now was stored so long ago, rows and objects alike."""
    for table in ("blobs", "packages", "package_files", "package_names"):
        await services.db.execute(f"UPDATE {table} SET created_at = created_at - $1::interval", timedelta(days=days))
    for file in files(services):
        os.utime(file, (time.time() - days * 86400,) * 2)


@both_stores
async def test_a_registry_in_use_is_clean(services: Services, people: People, project: Project) -> None:
    """With uploads under way, things deleted, and a janitor that has been there."""
    package_ids = [row["id"] for row in await services.db.fetch("SELECT id FROM packages WHERE version = '2.0'")]
    await catalog.delete_packages(services.db, OPERATOR, project, package_ids)
    await catalog.set_tag(services.db, OPERATOR, project, "npm", "@acme/widget", "beta", "1.0.0")
    async with services.ingest.upload(limit=2**30, algorithms=frozenset()) as upload:
        await upload.write(b"x" * 1_000_000)
        assert [] == await check(services, Mode(deep=True, repair=True))
        await upload.finish()
        assert [] == await check(services, Mode(deep=True, repair=True))
    async for _ in janitor.sweep(services.db, services.store, janitor.Grace(restore=timedelta())):
        pass
    assert [] == await check(services, Mode(deep=True, repair=True))


async def test_what_is_staged_is_kept_and_told_when_its_object_is_lost(
    services: Services, people: People, project: Project
) -> None:
    stage = await open_stage(people.root, project)
    await stage_file(people.root, project, stage, "3.0", name="staged")
    await stage_version(people.root, project, "@acme/widget", "2.0.0")
    await ages(services, 30)
    assert [] == await check(services, Mode(deep=True, repair=True))
    row = await services.db.fetchrow(
        "SELECT b.key FROM blobs AS b JOIN staged_files AS f ON f.blob_id = b.id WHERE f.name = 'staged'"
    )
    assert row is not None
    await services.store.delete(row["key"])
    (finding,) = await check(services, REPAIR)
    what = f"{row['key']} is not in the store; it is staged-3.0.tar.gz of pypi staged 3.0 in acme/tools"
    assert ("object-missing", what) == (finding.kind, finding.what)
    assert 2 == await services.db.fetchval("SELECT count(*) FROM staged_files")


async def test_a_lost_cut_or_changed_object_is_told_and_nothing_is_deleted(
    services: Services, people: People, project: Project
) -> None:
    before = await inventory.take(services)
    rows = await services.db.fetch(
        "SELECT b.key, f.file_name FROM blobs AS b JOIN package_files AS f ON f.blob_id = b.id ORDER BY b.id"
    )
    lost, cut, changed = (services.store.path(row["key"]) for row in rows)
    assert lost is not None and cut is not None and changed is not None  # noqa: PT018
    lost.unlink()
    os.truncate(cut, 1)
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)

    shallow = await kinds(services, REPAIR)
    deep = await check(services, Mode(deep=True, repair=True))

    assert [("object-missing", False), ("object-size", False)] == shallow
    assert ["object-missing", "object-size", "object-digest"] == [finding.kind for finding in deep]
    assert {("error", False)} == {(finding.severity, finding.repaired) for finding in deep}
    assert deep[0].what == (
        f"{rows[0]['key']} is not in the store; it is demo-1.0.tar.gz of pypi Demo 1.0 in acme/tools"
    )
    after = await inventory.take(services)
    assert (before.files, before.blobs) == (after.files, after.blobs)


@both_stores
async def test_an_object_without_a_row_is_told(services: Services, project: Project) -> None:
    before = await inventory.take(services)
    await put(services, "ab/cd/0123", b"nobody's")

    # Too young to go.
    (finding,) = await check(services, REPAIR)

    assert ("object-orphan", "warning", False) == (finding.kind, finding.severity, finding.repaired)
    assert "no row knows ab/cd/0123, 8 bytes of " in finding.what
    await services.store.delete("ab/cd/0123")
    assert before == await inventory.take(services)


async def test_an_old_object_without_a_row_is_removed(services: Services, people: People, project: Project) -> None:
    await put(services, "ab/cd/0123", b"nobody's")
    await ages(services, 8)
    developer = await people.member(project, AccessLevel.DEVELOPER)
    await developer.upload(project, "demo-3.0.tar.gz", b"new", name="Demo", version="3.0")

    assert [("object-orphan", False)] == await kinds(services)
    assert [("object-orphan", False)] == await kinds(services, Mode(repair=True, min_age=timedelta(days=9)))
    assert [("object-orphan", True)] == await kinds(services, REPAIR)
    assert [] == await check(services)


async def test_objects_younger_than_every_row_are_kept_because_the_database_may_be_restored(
    services: Services, project: Project
) -> None:
    await put(services, "ab/cd/0123", b"published after the backup")
    await services.db.execute("UPDATE blobs SET created_at = created_at - interval '10 days'")
    for file in files(services):
        os.utime(file, (time.time() - 8 * 86400,) * 2)

    found = await check(services, REPAIR)

    assert [("object-orphan", False)] == [(finding.kind, finding.repaired) for finding in found]
    assert "younger than every row: was the database restored" in found[0].what


async def test_the_objects_of_another_registry_are_kept(services: Services, people: People, project: Project) -> None:
    for number in range(20):
        await put(services, f"ab/cd/{number:04x}", b"somebody's")
    await ages(services, 30)
    await services.db.execute("TRUNCATE package_files, blobs, packages CASCADE")
    assert {("object-orphan", False)} == set(await kinds(services, REPAIR))

    developer = await people.member(project, AccessLevel.DEVELOPER)
    await developer.upload(project, "demo-3.0.tar.gz", b"new", name="Demo", version="3.0")
    found = await kinds(services, REPAIR)
    # As many as there are rows may be a mistake; more are a store that is not ours.
    assert (1, 22) == (found.count(("object-orphan", True)), found.count(("object-orphan", False)))


DAMAGE = {
    "blob-unreferenced": "WITH gone AS (DELETE FROM package_files WHERE file_name = 'demo-1.0.tar.gz') SELECT 1",
    "blob-state": "UPDATE blobs SET state = 'doomed' WHERE id = (SELECT min(blob_id) FROM package_files)",
    "tag-dangling": "UPDATE tags SET package_id = (SELECT min(id) FROM packages)",
    "serial-missing": "DELETE FROM package_names WHERE normalized_name = 'demo'",
    "serial-stale": "UPDATE package_names SET moved_at = moved_at - interval '2 minutes' WHERE normalized_name = ''",
    "change-log": "UPDATE change_head SET number = 1",
}


@pytest.mark.parametrize("kind", DAMAGE)
async def test_what_can_be_mended_is_mended_once(services: Services, project: Project, kind: str) -> None:
    await services.db.execute(DAMAGE[kind])

    told = await kinds(services)
    mended = await kinds(services, REPAIR)

    assert [(kind, False)] * len(told) == told != []
    assert [(kind, True)] * len(told) == mended
    assert [] == await check(services)
    # The janitor has nothing to take but what was doomed.
    async for step in janitor.sweep(services.db, services.store, janitor.Grace(restore=timedelta())):
        assert ("remove", "blob-unreferenced") == (step.action, kind)
    assert [] == await check(services)


async def test_a_page_that_was_cached_under_a_serial_that_did_not_move_is_rendered_anew(
    services: Services, people: People, project: Project
) -> None:
    page = f"/api/v4/projects/{project.id}/packages/pypi/simple/demo/?format=application/vnd.pypi.simple.v1+json"
    first = await (await people.anonymous.get(page)).json()
    await services.db.execute("DELETE FROM package_files WHERE file_name = 'demo-1.0.tar.gz'")
    await services.db.execute("UPDATE packages SET updated_at = now() + interval '1 hour' WHERE version = '1.0'")
    assert first == await (await people.anonymous.get(page)).json()

    await check(services, REPAIR)

    assert ["2.0"] == (await (await people.anonymous.get(page)).json())["versions"]


async def test_what_a_format_objects_to_is_told(services: Services, project: Project) -> None:
    await services.db.execute("UPDATE packages SET manifest = '{' WHERE package_type = 'npm'")
    await services.db.execute("UPDATE packages SET name = 'Other' WHERE version = '1.0'")

    assert [
        Finding("document", "error", "acme/tools: npm @acme/widget: 1.0.0: its manifest is no JSON object"),
        Finding("document", "error", "acme/tools: pypi demo: 1.0: is a version of 'Other'"),
    ] == await check(services, REPAIR)


async def test_a_store_that_is_away_is_no_finding(services: Services, project: Project) -> None:
    root = inventory.root_of(services)
    root.rename(root.with_name("away"))

    with pytest.raises(Unavailable):
        await check(services, REPAIR)
