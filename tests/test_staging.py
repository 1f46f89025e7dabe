"""Staging: what is staged is taken, invisible and kept; what is promoted is there at once, as if it were published."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from registry import access_tokens, accounts, catalog, failpoints, janitor, protection, staging, tree
from registry.access import Actor
from registry.catalog import Publication, Staged
from registry.db import blobs, namespaces, stages
from registry.db.connection import Database, open_database
from registry.db.instance import Author
from registry.errors import Conflict, FileNotFound, Forbidden, NotFound, RegistryError, Unavailable
from registry.failpoints import FailpointError
from registry.model import Blob, Digests, Project
from registry.staging import Closed, Kept
from registry.storage import BlobStore, open_store
from tests.people import OPERATOR


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    db = await open_database(database_url, pool_size=10)
    yield db
    await db.close()


@pytest.fixture
async def project(db: Database) -> Project:
    group = await tree.create_group(db, OPERATOR, name="group", path="group")
    made = await tree.create_project(db, OPERATOR, namespace=group, name="project", path="project")
    await db.execute("DELETE FROM audit_events")
    return made


@pytest.fixture
async def store(storage_url: str) -> AsyncIterator[BlobStore]:
    async with open_store(storage_url) as store:
        yield store


@pytest.fixture(autouse=True)
def _disarmed() -> Any:
    yield
    failpoints.arm(None)


async def a_person(db: Database, username: str) -> Author:
    user = await accounts.create_user(db, OPERATOR, username=username, name=username, email=f"{username}@example.com")
    return Author(Actor(kind="user", id=user.id, username=username, admin=True, scopes=frozenset({"api"})))


async def a_publication(db: Database, version: str = "1.0", content: bytes = b"", **more: Any) -> Publication:
    name = more.pop("name", "demo")
    file_name = f"{name}-{version}.tar.gz"
    content = content or file_name.encode()
    digest = hashlib.sha256(content).hexdigest()
    key = f"{secrets.token_hex(1)}/{secrets.token_hex(16)}"
    blob_id = await blobs.open_blob(db, key)
    digests = Digests(digest, md5="0" * 32, sha1="1" * 40, sha512="2" * 128, blake2b_256="3" * 64)
    await blobs.complete(db, blob_id, len(content), digests)
    values: dict[str, Any] = {
        "package_type": "generic", "name": name, "normalized_name": name, "version": version, "file_name": file_name,
        "blob": Blob(blob_id, key, len(content), digests), "one_file": False,
    }  # fmt: skip
    return Publication(**{**values, **more})


async def rows(db: Database, *tables: str) -> dict[str, int]:
    return {table: await db.fetchval(f"SELECT count(*) FROM {table}") for table in tables}


async def events(db: Database) -> list[str]:
    return [row["event_name"] for row in await db.fetch("SELECT event_name FROM audit_events ORDER BY id")]


async def states(db: Database) -> list[str]:
    return [row["state"] for row in await db.fetch("SELECT state FROM blobs ORDER BY id")]


async def test_a_staged_file_is_no_package_and_its_name_is_known(db: Database, project: Project) -> None:
    before = await db.fetchval("SELECT number FROM change_head")

    kept = await staging.add(db, OPERATOR, project, await a_publication(db))

    assert "created" == kept.outcome
    assert {"packages": 0, "package_files": 0, "tags": 0, "staged_files": 1, "stages": 1} == await rows(
        db, "packages", "package_files", "tags", "staged_files", "stages"
    )
    names = await db.fetch("SELECT normalized_name, serial FROM package_names ORDER BY normalized_name")
    assert [("", 1), ("demo", 1)] == [tuple(row) for row in names]
    changed = await db.fetch("SELECT kind, key FROM changes WHERE number > $1 ORDER BY key", before)
    assert [("name", "generic:"), ("name", "generic:demo")] == [tuple(row) for row in changed]
    assert ["stored"] == await states(db)
    assert ["package_stage_created", "package_file_staged"] == await events(db)


async def test_what_is_shown_of_a_name_does_not_move_when_something_is_staged(db: Database, project: Project) -> None:
    await catalog.publish(db, OPERATOR, project, await a_publication(db))
    before = await db.fetch("SELECT normalized_name, serial, moved_at FROM package_names ORDER BY normalized_name")

    kept = await staging.add(db, OPERATOR, project, await a_publication(db, "2.0"))
    await staging.drop(db, OPERATOR, project, kept.stage_id)

    assert before == await db.fetch(
        "SELECT normalized_name, serial, moved_at FROM package_names ORDER BY normalized_name"
    )


async def test_a_promotion_publishes_everything_as_it_was_sent(db: Database, project: Project) -> None:
    stage_id = await staging.create(db, OPERATOR, project, "generic", "both")
    first = await a_publication(
        db, "1.0", requires_python=">=3.8", manifest='{"a":1}', abbreviated="{}", readme="read me", tags=("latest",),
        core_metadata=b"Name: demo\n\xff", core_metadata_sha256="9" * 64, facts={"file_count": 3}, deprecated="old",
        session="session",
    )  # fmt: skip
    second = await a_publication(db, "2.0", name="other")
    for publication in (first, second):
        await staging.add(db, OPERATOR, project, publication, stage_id)
    read, _ = await stages.list_files(db, [stage_id])
    assert first == replace(await staging.publication_of(db, read), tags=("latest",))

    promoted = await staging.promote(db, OPERATOR, project, stage_id)

    assert ("promoted", [("demo", "1.0"), ("other", "2.0")]) == (
        promoted.state, [(one["name"], one["version"]) for one in promoted.released],
    )  # fmt: skip
    row = await db.fetchrow(
        "SELECT p.version, p.manifest, p.abbreviated, p.readme, p.publish_session, p.status, p.status_message,"
        " f.requires_python, f.core_metadata, f.core_metadata_sha256, f.facts, f.blob_id"
        " FROM packages AS p JOIN package_files AS f ON f.package_id = p.id WHERE p.name = 'demo'"
    )
    assert (
        "1.0", '{"a":1}', "{}", "read me", "session", "deprecated", "old", ">=3.8", b"Name: demo\n\xff", "9" * 64,
        {"file_count": 3}, first.blob.id,
    ) == tuple(row or ())  # fmt: skip
    assert {"packages": 2, "package_files": 2, "tags": 1, "staged_files": 0, "stages": 1} == await rows(
        db, "packages", "package_files", "tags", "staged_files", "stages"
    )
    assert ["stored", "stored"] == await states(db)
    assert (await events(db))[-3:] == ["package_stage_promoted", "package_published", "package_published"]
    assert promoted.released == (await staging.promote(db, OPERATOR, project, stage_id)).released
    with pytest.raises(Closed, match="The stage is promoted"):
        await staging.drop(db, OPERATOR, project, stage_id)
    with pytest.raises(Closed):
        await staging.add(db, OPERATOR, project, await a_publication(db, "3.0"), stage_id)


async def test_the_whole_promotion_is_one_number_of_the_change_log(db: Database, project: Project) -> None:
    stage_id = await staging.create(db, OPERATOR, project, "generic")
    for version in ("1.0", "2.0"):
        for name in ("demo", "other"):
            await staging.add(db, OPERATOR, project, await a_publication(db, version, name=name), stage_id)
    before = await db.fetchval("SELECT number FROM change_head")
    await staging.promote(db, OPERATOR, project, stage_id)
    changed = await db.fetch("SELECT number, kind, key FROM changes WHERE number > $1 ORDER BY kind, key", before)
    told = [("name", "generic:"), ("name", "generic:demo"), ("name", "generic:other"), ("packages", str(project.id))]
    assert [(before + 1, *one) for one in told] == [tuple(row) for row in changed]


async def test_a_staged_file_name_is_taken_for_publishes_and_other_stages(db: Database, project: Project) -> None:
    kept = await staging.add(db, OPERATOR, project, await a_publication(db))
    with pytest.raises(Staged, match=r"demo-1.0.tar.gz is in a stage"):
        await catalog.publish(db, OPERATOR, project, await a_publication(db))
    with pytest.raises(Staged, match=str(kept.stage_id)):
        await staging.add(db, OPERATOR, project, await a_publication(db, content=b"other"))
    elsewhere = await staging.create(db, OPERATOR, project, "generic")
    with pytest.raises(Staged, match=str(kept.stage_id)):
        await staging.add(db, OPERATOR, project, await a_publication(db), elsewhere)
    for stage_id in (None, kept.stage_id):
        assert Kept("replayed", kept.stage_id) == await staging.add(
            db, OPERATOR, project, await a_publication(db), stage_id
        )


async def test_what_is_released_cannot_be_staged(db: Database, project: Project) -> None:
    await catalog.publish(db, OPERATOR, project, await a_publication(db))
    with pytest.raises(Conflict, match="already been taken"):
        await staging.add(db, OPERATOR, project, await a_publication(db))
    one = {"one_file": True, "file_name": "another"}
    with pytest.raises(Conflict, match="already been taken"):
        await staging.add(db, OPERATOR, project, await a_publication(db, **one))
    assert {"stages": 0, "staged_files": 0} == await rows(db, "stages", "staged_files")


async def test_of_many_at_once_one_gets_the_file_name(db: Database, project: Project) -> None:
    async def attempt(number: int) -> object:
        publication = await a_publication(db, content=b"%d" % number)
        add = staging.add if number % 2 else catalog.publish
        try:
            return await add(db, OPERATOR, project, publication)
        except (Conflict, Staged) as error:
            return type(error).__name__

    outcomes = await asyncio.gather(*(attempt(number) for number in range(8)))

    assert 7 == len([outcome for outcome in outcomes if isinstance(outcome, str)]), outcomes
    assert 1 == sum((await rows(db, "package_files", "staged_files")).values())


async def test_rules_are_asked_when_a_file_is_staged_and_again_when_it_is_promoted(
    db: Database, project: Project
) -> None:
    developer = Author(Actor(kind="user", scopes=frozenset({"api"}), projects={project.id: 30}, username="dev"))
    kept = await staging.add(db, developer, project, await a_publication(db))
    rule = {"package_type": "generic", "package_name_pattern": "demo", "minimum_access_level_for_push": 40}
    await protection.create_rule(db, OPERATOR, project, rule, lambda _, name: name)
    for attempt in (
        staging.add(db, developer, project, await a_publication(db, "2.0")),
        staging.promote(db, developer, project, kept.stage_id),
        staging.drop(db, developer, project, kept.stage_id),
    ):
        with pytest.raises(Forbidden, match="Package protected"):
            await attempt
    await db.execute("UPDATE package_names SET status = 'archived' WHERE normalized_name = 'demo'")
    with pytest.raises(Forbidden, match="demo is archived"):
        await staging.promote(db, OPERATOR, project, kept.stage_id)
    assert {"packages": 0, "staged_files": 1} == await rows(db, "packages", "staged_files")


async def test_a_name_unique_below_a_group_is_so_at_the_promotion(db: Database, project: Project) -> None:
    root = project.ancestry[0]
    kept = await staging.add(db, OPERATOR, project, await a_publication(db, unique_below=root))
    group = await namespaces.find_group(db, root)
    assert group is not None
    other = await tree.create_project(db, OPERATOR, namespace=group, name="other", path="other")
    await catalog.publish(db, OPERATOR, other, await a_publication(db, unique_below=root))
    with pytest.raises(catalog.TakenElsewhere):
        await staging.promote(db, OPERATOR, project, kept.stage_id)
    with pytest.raises(catalog.TakenElsewhere):
        await staging.add(db, OPERATOR, project, await a_publication(db, file_name="2", unique_below=root))


async def test_a_project_may_publish_through_stages_only(db: Database, project: Project) -> None:
    strict = replace(project, settings={"package_stages_required": True})
    with pytest.raises(Forbidden, match="through stages only"):
        await catalog.publish(db, OPERATOR, strict, await a_publication(db))
    kept = await staging.add(db, OPERATOR, strict, await a_publication(db))
    assert "promoted" == (await staging.promote(db, OPERATOR, strict, kept.stage_id)).state


async def test_drop_dooms_and_a_dropped_file_can_be_staged_again(db: Database, project: Project) -> None:
    stage_id = await staging.create(db, OPERATOR, project, "generic")
    for version in ("1.0", "2.0"):
        await staging.add(db, OPERATOR, project, await a_publication(db, version), stage_id)
    first, _ = await stages.list_files(db, [stage_id])
    await staging.drop_file(db, OPERATOR, project, stage_id, first.id)
    with pytest.raises(FileNotFound):
        await staging.drop_file(db, OPERATOR, project, stage_id, first.id)
    assert ["doomed", "stored"] == await states(db)
    await staging.drop(db, OPERATOR, project, stage_id)
    assert ["doomed", "doomed"] == await states(db)
    assert {"stages": 0, "staged_files": 0} == await rows(db, "stages", "staged_files")
    for refused in (
        staging.drop(db, OPERATOR, project, stage_id),
        staging.promote(db, OPERATOR, project, stage_id),
        staging.add(db, OPERATOR, project, await a_publication(db), stage_id),
        staging.promote(db, OPERATOR, project, uuid4()),
    ):
        with pytest.raises(NotFound):
            await refused
    await staging.add(db, OPERATOR, project, await a_publication(db))
    assert ["package_file_unstaged", "package_stage_dropped"] == (await events(db))[3:5]


async def test_stages_of_another_project_or_type_are_not_found_or_refused(db: Database, project: Project) -> None:
    kept = await staging.add(db, OPERATOR, project, await a_publication(db))
    group = await tree.create_group(db, OPERATOR, name="away", path="away")
    other = await tree.create_project(db, OPERATOR, namespace=group, name="other", path="other")
    for refused in (staging.promote, staging.drop):
        with pytest.raises(NotFound):
            await refused(db, OPERATOR, other, kept.stage_id)
    with pytest.raises(Closed, match="for generic packages"):
        await staging.add(db, OPERATOR, project, await a_publication(db, "2.0", package_type="special"), kept.stage_id)
    empty = await staging.create(db, OPERATOR, project, "generic")
    with pytest.raises(Closed, match="empty"):
        await staging.promote(db, OPERATOR, project, empty)


async def test_stages_and_their_files_are_limited(
    db: Database, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "MAX_STAGES", 1)
    monkeypatch.setattr(staging, "MAX_FILES", 1)
    stage_id = await staging.create(db, OPERATOR, project, "generic")
    await staging.add(db, OPERATOR, project, await a_publication(db), stage_id)
    with pytest.raises(Closed, match="has 1 files"):
        await staging.add(db, OPERATOR, project, await a_publication(db, "2.0"), stage_id)
    with pytest.raises(Closed, match="has 1 open stages"):
        await staging.add(db, OPERATOR, project, await a_publication(db, "2.0"))
    assert {"stages": 1, "staged_files": 1} == await rows(db, "stages", "staged_files")


# --- four eyes --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def guarded(project: Project) -> Project:
    return replace(project, settings={"package_stages_four_eyes": True})


async def refusal(db: Database, who: Author, project: Project, stage_id: UUID) -> str | None:
    try:
        await staging.promote(db, who, project, stage_id)
    except RegistryError as error:
        return error.text
    return None


STAGED_IT = "403 Forbidden - who staged a file may not promote it: somebody else has to"
NO_PERSON = "403 Forbidden - only a person may promote a stage of this project"


async def test_nobody_promotes_what_is_theirs_whatever_token_they_use(db: Database, guarded: Project) -> None:
    one, two, three = [await a_person(db, name) for name in ("one", "two", "three")]
    stage_id = await staging.create(db, three, guarded, "generic")
    await staging.add(db, one, guarded, await a_publication(db, "1.0"), stage_id)
    await staging.add(db, two, guarded, await a_publication(db, "2.0"), stage_id)
    other_token = Author(Actor(kind="user", id=one.actor.id, token_id=77, username="one", admin=True,
                               scopes=frozenset({"api"})))  # fmt: skip
    for who in (one, two, other_token):
        assert STAGED_IT == await refusal(db, who, guarded, stage_id)
    assert {"packages": 0, "staged_files": 2} == await rows(db, "packages", "staged_files")
    assert await refusal(db, three, guarded, stage_id) is None


async def test_a_bot_or_deploy_token_is_not_a_second_pair_of_eyes(db: Database, guarded: Project) -> None:
    maker, second = await a_person(db, "maker"), await a_person(db, "second")
    await access_tokens.create_bot_token(db, maker, guarded, name="bot", scopes=("api",), access_level=30)
    bot_id = await db.fetchval("SELECT id FROM users WHERE kind = 'project_bot'")
    bot = Author(Actor(kind="user", id=bot_id, username="bot", projects={guarded.id: 30}, scopes=frozenset({"api"})))
    deploy_token, _ = await accounts.create_deploy_token(
        db, maker, guarded, name="ci", scopes=("write_package_registry",)
    )
    deploy = Author(Actor(kind="deploy_token", id=deploy_token.id, username="ci", home_project=guarded.id))
    by_person = await staging.add(db, second, guarded, await a_publication(db, "1.0"))
    by_bot = await staging.add(db, bot, guarded, await a_publication(db, "2.0"))
    by_deploy_token = await staging.add(db, deploy, guarded, await a_publication(db, "3.0"))
    for kept in (by_person, by_bot, by_deploy_token):
        assert NO_PERSON == await refusal(db, bot, guarded, kept.stage_id)
        assert NO_PERSON == await refusal(db, deploy, guarded, kept.stage_id)
    for kept in (by_bot, by_deploy_token):
        assert STAGED_IT == await refusal(db, maker, guarded, kept.stage_id)
        assert await refusal(db, second, guarded, kept.stage_id) is None
    assert await refusal(db, maker, guarded, by_person.stage_id) is None


async def test_who_rotated_the_token_of_a_bot_has_staged_what_it_staged(db: Database, guarded: Project) -> None:
    maker, rotator, second = [await a_person(db, name) for name in ("maker", "rotator", "second")]
    token_id, _ = await access_tokens.create_bot_token(db, maker, guarded, name="bot", scopes=("api",), access_level=30)
    await access_tokens.rotate(db, rotator, token_id, lambda _: None)
    bot_id = await db.fetchval("SELECT id FROM users WHERE kind = 'project_bot'")
    bot = Author(Actor(kind="user", id=bot_id, username="bot", projects={guarded.id: 30}, scopes=frozenset({"api"})))
    kept = await staging.add(db, bot, guarded, await a_publication(db))
    for who in (maker, rotator):
        assert STAGED_IT == await refusal(db, who, guarded, kept.stage_id)
    assert await refusal(db, second, guarded, kept.stage_id) is None


async def test_whoever_is_behind_a_chain_of_bots_has_staged_what_the_last_one_staged(
    db: Database, guarded: Project
) -> None:
    maker, other, second = [await a_person(db, name) for name in ("maker", "other", "second")]

    async def a_bot(who: Author, name: str) -> tuple[int, Author]:
        token_id, _ = await access_tokens.create_bot_token(
            db, who, guarded, name=name, scopes=("api",), access_level=40
        )
        user_id = await db.fetchval("SELECT user_id FROM personal_access_tokens WHERE id = $1", token_id)
        actor = Actor(kind="user", id=user_id, username=name, projects={guarded.id: 40}, scopes=frozenset({"api"}))
        return token_id, Author(actor)

    first_token, first = await a_bot(maker, "first")
    second_token, last = await a_bot(other, "last")
    await access_tokens.rotate(db, first, second_token, lambda _: None)
    # In a circle.
    await access_tokens.rotate(db, last, first_token, lambda _: None)
    # A bot that is no member any more was still made by somebody.
    await db.execute("DELETE FROM members WHERE user_id = $1", first.actor.id)
    kept = await staging.add(db, last, guarded, await a_publication(db))
    for who in (maker, other):
        assert STAGED_IT == await refusal(db, who, guarded, kept.stage_id)
    assert await refusal(db, second, guarded, kept.stage_id) is None


async def test_nothing_is_promoted_but_what_was_looked_at(db: Database, guarded: Project) -> None:
    one, two = await a_person(db, "one"), await a_person(db, "two")
    stage_id = await staging.create(db, one, guarded, "generic")
    await staging.add(db, one, guarded, await a_publication(db, "1.0"), stage_id)
    looked_at = [file.id for file in await stages.list_files(db, [stage_id])]
    await staging.add(db, one, guarded, await a_publication(db, "2.0"), stage_id)
    with pytest.raises(Closed, match="other files by now"):
        await staging.promote(db, two, guarded, stage_id, file_ids=looked_at)
    looked_at = [file.id for file in await stages.list_files(db, [stage_id])]
    assert "promoted" == (await staging.promote(db, two, guarded, stage_id, file_ids=looked_at)).state

    kept = await staging.add(db, one, guarded, await a_publication(db, "3.0"))
    (file,) = await stages.list_files(db, [kept.stage_id])
    assert Kept("replayed", kept.stage_id) == await staging.add(
        db, one, guarded, await a_publication(db, "3.0"), kept.stage_id
    )
    await staging.drop_file(db, one, guarded, kept.stage_id, file.id)
    with pytest.raises(Closed, match="of the one file it was made for"):
        await staging.add(db, one, guarded, await a_publication(db, "3.0", b"other"), kept.stage_id)


async def test_a_retry_that_meets_the_upload_it_repeats_is_told_the_same(db: Database, project: Project) -> None:
    publications = [await a_publication(db) for _ in range(4)]
    outcomes = await asyncio.gather(*(staging.add(db, OPERATOR, project, one) for one in publications))
    assert ["created", "replayed", "replayed", "replayed"] == sorted(kept.outcome for kept in outcomes)
    assert 1 == len({kept.stage_id for kept in outcomes})
    assert {"stages": 1, "staged_files": 1} == await rows(db, "stages", "staged_files")


# --- faults and the clean-up ------------------------------------------------------------------------------------------


async def test_a_promotion_that_fails_in_the_middle_changes_nothing(db: Database, project: Project) -> None:
    stage_id = await staging.create(db, OPERATOR, project, "generic")
    for version in ("1.0", "2.0", "3.0"):
        await staging.add(db, OPERATOR, project, await a_publication(db, version), stage_id)
    for point in ("promote.before-transaction", "promote.after-file#2", "promote.before-commit"):
        failpoints.arm(f"{point}:raise")
        with pytest.raises(FailpointError):
            await staging.promote(db, OPERATOR, project, stage_id)
        assert {"packages": 0, "package_files": 0, "staged_files": 3} == await rows(
            db, "packages", "package_files", "staged_files"
        )
    failpoints.arm("promote.after-commit:raise")
    with pytest.raises(FailpointError):
        await staging.promote(db, OPERATOR, project, stage_id)
    failpoints.arm(None)
    assert {"packages": 3, "package_files": 3, "staged_files": 0} == await rows(
        db, "packages", "package_files", "staged_files"
    )
    assert 3 == len((await staging.promote(db, OPERATOR, project, stage_id)).released)


async def test_a_release_in_between_stops_the_whole_promotion(db: Database, project: Project) -> None:
    stage_id = await staging.create(db, OPERATOR, project, "generic")
    await staging.add(db, OPERATOR, project, await a_publication(db, "1.0"), stage_id)
    await staging.add(db, OPERATOR, project, await a_publication(db, "2.0", one_file=True), stage_id)
    await catalog.publish(db, OPERATOR, project, await a_publication(db, "2.0", file_name="demo-2.0.zip"))
    with pytest.raises(Conflict, match=r"demo 2\.0 already exists"):
        await staging.promote(db, OPERATOR, project, stage_id)
    assert {"packages": 1, "package_files": 1, "staged_files": 2} == await rows(
        db, "packages", "package_files", "staged_files"
    )


async def test_a_blob_that_the_janitor_took_is_not_staged(db: Database, project: Project) -> None:
    publication = await a_publication(db)
    await blobs.doom(db, [publication.blob.id])
    with pytest.raises(Unavailable):
        await staging.add(db, OPERATOR, project, publication)
    assert {"stages": 0, "staged_files": 0} == await rows(db, "stages", "staged_files")


async def test_the_janitor_keeps_what_is_staged_and_drops_what_has_expired(
    db: Database, project: Project, store: BlobStore
) -> None:
    publications = [await a_publication(db, version) for version in ("1.0", "2.0", "3.0")]
    for publication in publications:
        writer = store.writer(publication.blob.key)
        await writer.write(publication.file_name.encode())
        await writer.commit()
    kept = [await staging.add(db, OPERATOR, project, publication) for publication in publications]
    await staging.promote(db, OPERATOR, project, kept[2].stage_id)
    await db.execute("UPDATE blobs SET state_at = now() - interval '1 year'")
    assert [] == [step async for step in janitor.sweep(db, store)]
    await db.execute(
        "UPDATE stages SET expires_at = now() - interval '1 minute' WHERE id = ANY($1::uuid[])",
        [kept[0].stage_id, kept[2].stage_id],
    )
    with pytest.raises(NotFound):
        await staging.promote(db, OPERATOR, project, kept[0].stage_id)

    planned = [step async for step in janitor.plan(db, store)]
    done = [step async for step in janitor.sweep(db, store)]

    assert {"expire"} == {step.action for step in done}
    assert {str(kept[0].stage_id), str(kept[2].stage_id)} == {step.stage for step in done}
    assert planned == done
    assert ["doomed", "stored", "stored"] == await states(db)
    assert [kept[1].stage_id] == [row["id"] for row in await db.fetch("SELECT id FROM stages")]
    assert ["package_stage_expired"] * 2 == (await events(db))[-2:]
    gone = janitor.Grace(restore=janitor._NOTHING)
    assert ["remove"] == [step.action async for step in janitor.sweep(db, store, gone)]
    assert {one.blob.key for one in publications[1:]} == {one.key async for one in store.list()}


async def test_an_expired_stage_holds_no_file_name(db: Database, project: Project) -> None:
    stage_id = await staging.create(db, OPERATOR, project, "generic")
    for version in ("1.0", "2.0"):
        await staging.add(db, OPERATOR, project, await a_publication(db, version), stage_id)
    await db.execute("UPDATE stages SET expires_at = now() - interval '1 second'")
    before = await db.fetchval("SELECT number FROM change_head")

    await catalog.publish(db, OPERATOR, project, await a_publication(db, "1.0", b"other"))
    kept = await staging.add(db, OPERATOR, project, await a_publication(db, "2.0", b"other"))

    assert "created" == kept.outcome
    assert [kept.stage_id] == [row["id"] for row in await db.fetch("SELECT id FROM stages")]
    assert ["doomed", "doomed", "stored", "stored"] == await states(db)
    assert [
        "package_published", "package_stage_created", "package_stage_expired", "package_file_staged",
    ] == (await events(db))[3:]  # fmt: skip
    # Each of the two is one number.
    assert before + 2 == await db.fetchval("SELECT number FROM change_head")
    assert not await staging.expire(db, stages.ExpiredStage(stage_id, project.id))


async def test_what_is_shown_of_staged_files_is_read_without_their_publications(db: Database, project: Project) -> None:
    stage_id = await staging.create(db, OPERATOR, project, "generic")
    for version in ("1.0", "2.0"):
        more = {"requires_python": ">=3.8", "tags": ("next", "latest"), "manifest": "x" * 100_000}
        await staging.add(db, OPERATOR, project, await a_publication(db, version, **more), stage_id)
    shown = await stages.list_files(db, [stage_id])
    assert [(">=3.8", "next", None)] * 2 == [(one.requires_python, one.tag, one.unique_below) for one in shown]
    assert len(repr(shown)) < 10_000
    found = await stages.find_file(db, stage_id, shown[1].file_name, shown[1].sha256)
    assert shown[1] == found
    assert await stages.find_file(db, stage_id, shown[1].file_name, shown[0].sha256) is None


async def test_a_deleted_project_takes_its_stages_along(db: Database, project: Project) -> None:
    await staging.add(db, OPERATOR, project, await a_publication(db))
    await tree.delete_project(db, OPERATOR, project)
    assert {"stages": 0, "staged_files": 0} == await rows(db, "stages", "staged_files")
    assert ["doomed"] == await states(db)
    with pytest.raises(NotFound):
        await staging.add(db, OPERATOR, project, await a_publication(db))
