"""Staging: the only module that changes stages. Each function is one transaction with its audit and change rows.

A stage is a set of files of one package type in one project, checked and stored like any other, that nobody sees until
all of them become visible in one transaction. As long as it is open its file names are taken, its names are known here
and so asked of nobody else, and its blobs are `stored`, out of the janitor's reach.

Lock order: the project where stages are counted, the stage, then as in `catalog`.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import asyncpg

from registry import catalog, failpoints, metrics, protection
from registry.access import SYSTEM
from registry.catalog import Publication, Staged
from registry.db import blobs, changes, namespaces, package_names, stages
from registry.db.changes import Change
from registry.db.connection import Database, Db
from registry.db.instance import Author, audit
from registry.db.stages import ExpiredStage, NewFile, Stage, StagedFile
from registry.errors import FileNotFound, Forbidden, NotFound, RegistryError, Unavailable
from registry.model import Project

# How long a stage stays, in days, where the setting `package_stage_days` says nothing.
DAYS = 7
# Open ones of a project, and files of one: a promotion is one transaction.
MAX_STAGES = 1_000
MAX_FILES = 1_000

_BYTES = "base64"


class Closed(RegistryError):
    """The stage takes no such change"""

    status = 409


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a file sent to a stage. `replayed`: identical bytes were in it already, nothing changed."""

    outcome: Literal["created", "replayed"]
    stage_id: UUID


async def create(db: Database, author: Author, project: Project, package_type: str, title: str = "") -> UUID:
    """Open an empty stage; answers its id. Raises Closed when the project has too many, NotFound when it is gone."""
    async with _change(db, "stage") as tx:
        return await _create(tx, author, project, package_type, title)


async def add(
    db: Database, author: Author, project: Project, publication: Publication, stage_id: UUID | None = None
) -> Kept:
    """Put a file whose blob is complete into a stage, or (None) into a new one of its own, which takes no other.

    Raises what `catalog.publish` would, Staged when a stage has the file name already, NotFound when the stage is gone,
    Closed when it was promoted or is full. A commit whose answer was lost is looked up.
    """
    kept: Kept | None = None
    try:
        async with _change(db, "stage") as tx:
            kept = await _add(tx, author, project, publication, stage_id)
    except asyncpg.ForeignKeyViolationError as error:
        raise catalog.referred_to(error) from error
    except Unavailable:
        if kept is None or await blobs.find_state(db, publication.blob.id) != "stored":
            raise
    if kept is None:
        raise Unavailable
    return kept


async def promote(
    db: Database,
    author: Author,
    project: Project,
    stage_id: UUID,
    *,
    file_ids: Collection[int] | None = None,
    same_version: Callable[[str, str, str], bool] = lambda _, one, other: one == other,
) -> Stage:
    """Make all files of a stage visible at once; again is a success that changes nothing.

    Every rule of names is asked again, of whoever promotes; contents and signatures are not looked at again. `file_ids`
    are the files that whoever promotes has looked at. `same_version` tells of a package type and two texts whether they
    are one version. Raises what `catalog.publish` does, Forbidden when the project wants a second pair of eyes and
    these are not, NotFound, Closed when the stage is empty or has other files.
    """
    async with _change(db, "promote") as tx:
        stage = await _locked(tx, project, stage_id)
        if stage.state == "promoted":
            return stage
        files = await stages.list_files(tx, [stage.id])
        if not files:
            raise Closed("The stage is empty")
        if file_ids is not None and set(file_ids) != {file.id for file in files}:
            raise Closed("The stage has other files by now: look at it again")
        if project.settings.get("package_stages_four_eyes"):
            await _check_eyes(tx, author, files)
        await audit(
            tx, author, "package_stage_promoted", project, stage_id=str(stage.id), package_type=stage.package_type,
            files=[file.file_name for file in files],
        )  # fmt: skip

        async def take(file: StagedFile) -> Publication:
            return _publication(file, await stages.take_file(tx, file.id))

        same = functools.partial(same_version, stage.package_type)
        ids = await catalog.release(tx, author, project, files, take, same_version=same)
        became = {package_id: (file.name, file.version) for package_id, file in zip(ids, files, strict=True)}
        released = [{"id": key, "name": name, "version": version} for key, (name, version) in became.items()]
        await stages.finish_stage(tx, stage.id, released)
        promoted = await _locked(tx, project, stage.id)
    for file in files:
        metrics.publishes.labels(file.package_type, "promoted").inc()
    return promoted


async def drop(db: Database, author: Author, project: Project, stage_id: UUID) -> None:
    """Give up a stage with its files, whose objects go later. Raises NotFound, Closed when it was promoted.

    Its names stay known here, as those of deleted packages do.
    """
    async with _change(db, "drop") as tx:
        stage = await _locked(tx, project, stage_id, state="open")
        await changes.record(tx, await _drop(tx, author, project, stage.id, "package_stage_dropped"))


async def drop_file(db: Database, author: Author, project: Project, stage_id: UUID, file_id: int) -> None:
    """Take one file out of a stage, which stays. Raises NotFound, Closed when it was promoted."""
    async with _change(db, "drop") as tx:
        stage = await _locked(tx, project, stage_id, state="open")
        file = next((one for one in await stages.list_files(tx, [stage.id]) if one.id == file_id), None)
        if file is None:
            raise FileNotFound("404 Not found")
        await protection.check(tx, author.actor, project, "push", [(file.package_type, file.normalized_name)])
        await blobs.doom(tx, await stages.delete_files(tx, stage.id, file.id))
        await audit(
            tx, author, "package_file_unstaged", project, stage_id=str(stage.id), package_type=file.package_type,
            name=file.name, version=file.version, file_name=file.file_name,
        )  # fmt: skip
        await changes.record(tx, [_moved(file.package_type, file.normalized_name)])


async def expire(db: Database, stage: ExpiredStage) -> bool:
    """Forget a stage whose time is over: an open one as if it were dropped. False when somebody was faster."""
    async with _change(db, "drop") as tx:
        moved = await _expire(tx, stage)
        if moved is None:
            return False
        await changes.record(tx, moved)
    return True


async def publication_of(db: Db, file: StagedFile) -> Publication:
    """What a file of a stage will be published as. Raises FileNotFound when it is gone."""
    packed = await stages.find_publication(db, file.id)
    if packed is None:
        raise FileNotFound("404 Not found")
    return _publication(file, packed)


async def _create(
    tx: Db, author: Author, project: Project, package_type: str, title: str = "", *, sealed: bool = False
) -> UUID:
    if not await stages.lock_project(tx, project.id):
        raise NotFound("404 Project Not Found")
    if await stages.count_stages(tx, project.id, state="open") >= MAX_STAGES:
        raise Closed(f"The project has {MAX_STAGES} open stages: promote or drop some")
    days = project.settings.get("package_stage_days")
    stage_id = await stages.insert_stage(
        tx, project.id, package_type, title, author.actor, sealed=sealed, days=days if isinstance(days, int) else DAYS
    )
    await audit(
        tx, author, "package_stage_created", project, stage_id=str(stage_id), package_type=package_type, title=title
    )
    return stage_id


async def _add(tx: Db, author: Author, project: Project, publication: Publication, stage_id: UUID | None) -> Kept:
    kind, name = publication.package_type, publication.normalized_name
    if stage_id is not None:
        stage = await _locked(tx, project, stage_id, state="open")
        if stage.package_type != kind:
            raise Closed(f"The stage is for {stage.package_type} packages")
    elif not await stages.lock_project(tx, project.id):
        raise NotFound("404 Project Not Found")
    await protection.check(tx, author.actor, project, "push", [(kind, name)])
    # Locks the name, so what is found staged below it from here on stays.
    is_new = await catalog.check_free(tx, project, publication)
    held = await stages.find_staged(tx, project.id, kind, name, publication.file_name)
    if held is not None:
        return _replayed(held, await publication_of(tx, held), publication, stage_id)
    if stage_id is None:
        stage_id = await _create(tx, author, project, kind, sealed=True)
    elif stage.sealed:
        raise Closed("The stage is of the one file it was made for")
    elif await stages.count_files(tx, stage_id) >= MAX_FILES:
        raise Closed(f"The stage has {MAX_FILES} files: promote it first")
    if not await blobs.store(tx, publication.blob.id):
        raise Unavailable("the upload took too long and was cleaned away, try again")
    file = NewFile(
        project_id=project.id,
        package_type=kind,
        name=publication.name,
        normalized_name=name,
        version=publication.version,
        file_name=publication.file_name,
        blob_id=publication.blob.id,
        publication=_packed(publication),
    )
    over = await stages.find_expired(tx, project.id, kind, name, publication.file_name)
    # One that somebody else is at is not waited for: they may be waiting for the name.
    moved = (await _expire(tx, over) or []) if over is not None else []
    people = await stages.list_people(tx, author.actor)
    if await stages.insert_file(tx, stage_id, file, author.actor, people) is None:
        raise Staged
    await audit(
        tx, author, "package_file_staged", project, stage_id=str(stage_id), package_type=kind, name=publication.name,
        version=publication.version, file_name=publication.file_name, sha256=publication.blob.digests.sha256,
    )  # fmt: skip
    moved.append(_moved(kind, name))
    if is_new:
        # From now on the name is known here: what was remembered of scopes and of the index counts no more.
        await package_names.move_serial(tx, project.id, kind, "")
        moved.append(_moved(kind, ""))
    await changes.record(tx, moved)
    return Kept("created", stage_id)


def _replayed(held: StagedFile, there: Publication, publication: Publication, stage_id: UUID | None) -> Kept:
    """A retry of the very same upload succeeds again; whatever else comes under a staged file name is refused."""
    same = (there.name, there.version, there.session) == (publication.name, publication.version, publication.session)
    if same and held.sha256 == publication.blob.digests.sha256 and stage_id in {None, held.stage_id}:
        return Kept("replayed", held.stage_id)
    raise Staged(f"{publication.file_name} is in stage {held.stage_id}: promote or drop that first")


async def _drop(
    tx: Db,
    author: Author,
    project: Project,
    stage_id: UUID,
    event_name: str,
) -> list[Change]:
    """Delete a stage; answers what the caller records when everything else is done."""
    files = await stages.list_files(tx, [stage_id])
    if author.actor is not SYSTEM:
        names = sorted({(file.package_type, file.normalized_name) for file in files})
        await protection.check(tx, author.actor, project, "push", names)
    await blobs.doom(tx, await stages.delete_files(tx, stage_id))
    await stages.delete_stage(tx, stage_id)
    await audit(tx, author, event_name, project, stage_id=str(stage_id), files=[file.file_name for file in files])
    return [_moved(file.package_type, file.normalized_name) for file in files]


async def _expire(tx: Db, stage: ExpiredStage) -> list[Change] | None:
    """Drop a stage whose time is over, as `_drop` does; None when somebody else is at it, or deletes the project."""
    if not await stages.lock_expired(tx, stage.id):
        return None
    # As it is now: its hooks, and those of the groups above it, are told.
    project = await namespaces.find_project(tx, stage.project_id)
    if project is None:
        return None
    return await _drop(tx, Author(SYSTEM), project, stage.id, "package_stage_expired")


async def _check_eyes(tx: Db, author: Author, files: Sequence[StagedFile]) -> None:
    """Four eyes: who promotes is a person, and none of the users behind any of the files."""
    actor = author.actor
    if not actor.is_user or actor.id is None or not await stages.is_human(tx, actor.id):
        raise Forbidden("403 Forbidden - only a person may promote a stage of this project")
    if any(actor.id in file.people for file in files):
        raise Forbidden("403 Forbidden - who staged a file may not promote it: somebody else has to")


async def _locked(tx: Db, project: Project, stage_id: UUID, *, state: str | None = None) -> Stage:
    stage = await stages.lock_stage(tx, project.id, stage_id)
    if stage is None:
        raise NotFound("404 Stage Not Found")
    if state is not None and stage.state != state:
        raise Closed(f"The stage is {stage.state}")
    return stage


@contextlib.asynccontextmanager
async def _change(db: Database, what: str) -> AsyncIterator[Db]:
    """The transaction of a change, with the places around and in it where a test may stop the server."""
    await failpoints.reach(f"{what}.before-transaction")
    async with db.transaction() as tx:
        yield tx
        await failpoints.reach(f"{what}.before-commit")
    await failpoints.reach(f"{what}.after-commit")


def _moved(package_type: str, name: str) -> Change:
    return Change("name", f"{package_type}:{name}")


def _publication(file: StagedFile, packed: Mapping[str, Any]) -> Publication:
    return Publication(**{name: _unpacked(value) for name, value in packed.items()}, blob=file.blob)


def _packed(publication: Publication) -> dict[str, Any]:
    """The fields of a publication but its blob, as JSON."""
    fields = {field.name: getattr(publication, field.name) for field in dataclasses.fields(publication)}
    return {name: _packed_value(value) for name, value in fields.items() if name != "blob"}


def _packed_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {_BYTES}:
        return base64.b64decode(value[_BYTES])
    return value
