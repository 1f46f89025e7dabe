"""Publishing: how a file becomes visible, by itself or out of a stage, and the rules that may be in the way."""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import asyncpg

from registry import failpoints, grants, metrics, protection
from registry.catalog.transactions import change, note_moved
from registry.db import blobs, package_files, package_names, packages, stages
from registry.db.connection import Database, Db
from registry.db.instance import Author, audit
from registry.db.packages import NewPackage
from registry.db.stages import StagedFile
from registry.errors import Conflict, Forbidden, NotFound, RegistryError, TooBusy, Unavailable
from registry.model import Blob, Project

# Whether two texts are one version, as a format compares them.
SameVersion = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One file of one version, checked and stored, about to become visible.

    `one_file` says that a version consists of this file alone, so that an existing version is a conflict. `session`
    makes a retry of the very same publish recognisable: identical bytes succeed again when it is equal. `unique_below`
    is the id of a top-level namespace whose other projects must not have the same name and version.
    """

    package_type: str
    name: str
    normalized_name: str
    version: str
    file_name: str
    blob: Blob
    one_file: bool
    session: str | None = None
    requires_python: str = ""
    manifest: str | None = None
    abbreviated: str | None = None
    readme: str | None = None
    deprecated: str | None = None
    core_metadata: bytes | None = None
    core_metadata_sha256: str | None = None
    provenance: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    tags: Sequence[str] = ()
    unique_below: int | None = None


class TakenElsewhere(Conflict):
    """Another project below the same top-level namespace has this name and version"""


class Staged(RegistryError):
    """The file is in a stage: promote or drop that first

    No Conflict, which clients that skip what is published take for done.
    """

    status = 409


@dataclass(frozen=True, slots=True)
class _Inserted:
    """A file's rows are written: whether its name had no version before, and whether its version is new."""

    package_id: int
    new_name: bool
    new_version: bool


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a publication. `replayed`: identical bytes were there already, nothing changed."""

    outcome: Literal["created", "replayed"]
    package_id: int


class _RacedError(Exception):
    """Somebody else took the file name between the look and the insert: look again."""


async def publish(
    db: Database,
    author: Author,
    project: Project,
    publication: Publication,
    *,
    same_version: SameVersion = operator.eq,
) -> Published:
    """Make a stored blob visible as a file of a version; yanked when the release is, in whatever spelling.

    Raises Conflict when the file name (or, with `one_file`, the version) is taken by something else, Forbidden when
    the name accepts no files or none from this author, Reserved when it belongs to another group, Unavailable when the
    database is away. A commit whose answer was lost is looked up.
    """
    for _ in range(3):
        try:
            published = await _publish(db, author, project, publication, same_version)
        except _RacedError:
            continue
        except asyncpg.ForeignKeyViolationError as error:
            raise referred_to(error) from error
        except Conflict:
            metrics.publishes.labels(publication.package_type, "conflict").inc()
            raise
        metrics.publishes.labels(publication.package_type, published.outcome).inc()
        return published
    raise TooBusy("the same file is being published and deleted at once, try again")


def referred_to(error: asyncpg.ForeignKeyViolationError) -> RegistryError:
    """What to say when something that new rows refer to was deleted meanwhile: the project, or something else."""
    if str(error.constraint_name).endswith("project_id_fkey"):
        return NotFound("404 Project Not Found")
    return Unavailable("something that this refers to was deleted meanwhile, try again")


async def _publish(
    db: Database, author: Author, project: Project, publication: Publication, same_version: SameVersion
) -> Published:
    package_id: int | None = None
    try:
        async with change(db, "publish") as tx:
            name = (publication.package_type, publication.normalized_name)
            await protection.check(tx, author.actor, project, "push", [name])
            taken = await _find_taken(tx, project, publication)
            if taken is not None:
                return taken
            if project.settings.get("package_stages_required"):
                raise Forbidden("403 Forbidden - this project publishes through stages only")
            inserted = await _insert(tx, author, project, publication, same_version)
            await note_moved(tx, project, name, index=inserted.new_name, listed=inserted.new_version)
            package_id = inserted.package_id
    except Unavailable:
        # With everything written only the commit was left: what became of it, the blob says.
        if package_id is None or await blobs.find_state(db, publication.blob.id) != "stored":
            raise
    if package_id is None:
        raise Unavailable
    return Published("created", package_id)


async def release(
    tx: Db,
    author: Author,
    project: Project,
    files: Sequence[StagedFile],
    publication_of: Callable[[StagedFile], Awaitable[Publication]],
    *,
    same_version: SameVersion = operator.eq,
) -> list[int]:
    """Make staged files visible, in the transaction of the caller, of which this is the end.

    All that `publish` checks is checked. `publication_of` takes one out of its stage; no two publications are in memory
    at a time. Answers the ids of their packages. Raises what `publish` does, and Conflict for identical bytes, too.
    """
    names = sorted({(one.package_type, one.normalized_name) for one in files})
    await protection.check(tx, author.actor, project, "push", names)
    for root in sorted({one.unique_below for one in files if one.unique_below is not None}):
        await package_names.lock_root(tx, root)
    for kind, name in names:
        await package_names.find_name_status(tx, project.id, kind, name)
    done = []
    for file in files:
        publication = await publication_of(file)
        if await _find_taken(tx, project, publication) is not None:
            raise Conflict(f"{publication.file_name} already exists: it has already been taken")
        try:
            done.append(await _insert(tx, author, project, publication, same_version, stored=True))
        except _RacedError as error:
            # Not as long as every writer locks the name first.
            raise TooBusy("the same file is being published, try again") from error
        await failpoints.reach("promote.after-file")
    new_name, new_version = any(one.new_name for one in done), any(one.new_version for one in done)
    await note_moved(tx, project, *names, index=new_name, listed=new_version)
    return [one.package_id for one in done]


async def check_free(tx: Db, project: Project, publication: Publication) -> bool:
    """Check the rules of names, and that no released file or version is in the way, as `publish` would.

    Locks the name, which is known here from now on, for whoever publishes it must wait; a serial that is there stays,
    because nothing shown moves. Answers whether the name is new. Raises Conflict, Forbidden.
    """
    kind, name = publication.package_type, publication.normalized_name
    status = await _check_rules(tx, project, publication)
    if status is None or not await package_names.has_name(tx, project.id, kind, name):
        await grants.check(tx, project, kind, name)
    if status is None:
        await package_names.move_serial(tx, project.id, kind, name)
    if await _find_taken(tx, project, publication) is not None or (
        publication.one_file and await packages.list_package_ids(tx, project.id, kind, name, [publication.version])
    ):
        raise Conflict(f"{publication.file_name} already exists: it has already been taken")
    return status is None


async def _find_taken(tx: Db, project: Project, publication: Publication) -> Published | None:
    taken = await package_files.find_taken(
        tx, project.id, publication.package_type, publication.normalized_name, publication.file_name
    )
    if taken is None:
        return None
    same = taken.sha256 == publication.blob.digests.sha256 and taken.publish_session == publication.session
    if same and (taken.name, taken.version) == (publication.name, publication.version):
        return Published("replayed", taken.package_id)
    raise Conflict(f"{publication.file_name} already exists: it has already been taken by version {taken.version}")


async def _check_rules(tx: Db, project: Project, publication: Publication) -> str | None:
    """Raise when the name takes no file, or not this one; answers its status, None for a new name."""
    kind, name = publication.package_type, publication.normalized_name
    if publication.unique_below is not None:
        await _check_unique(tx, project, publication, publication.unique_below)
    status = await package_names.find_name_status(tx, project.id, kind, name)
    if status in {"archived", "quarantined"}:
        raise Forbidden(f"403 Forbidden - {publication.name} is {status} and accepts no files")
    if project.settings.get("immutable_file_names") and await package_files.has_tombstone(
        tx, project.id, kind, name, publication.file_name, publication.blob.digests.sha256
    ):
        raise Conflict(f"{publication.file_name} already exists: a deleted file has already been taken by that name")
    return status


async def _insert(
    tx: Db,
    author: Author,
    project: Project,
    publication: Publication,
    same_version: SameVersion,
    *,
    stored: bool = False,
) -> _Inserted:
    """Write the rows of a file, whose blob is `stored` already or becomes so."""
    kind, name = publication.package_type, publication.normalized_name
    status = await _check_rules(tx, project, publication)
    is_new = status is None or not await package_names.has_name(tx, project.id, kind, name)
    if is_new:
        await grants.check(tx, project, kind, name)
    await package_names.move_serial(tx, project.id, kind, name)
    if await stages.find_staged(tx, project.id, kind, name, publication.file_name) is not None:
        raise Staged(f"{publication.file_name} is in a stage: promote or drop that first")
    package = _package(author, project, publication)
    put = await packages.put_package(tx, package, may_exist=not publication.one_file)
    if put is None:
        if await _find_taken(tx, project, publication) is not None:
            raise _RacedError
        raise Conflict(f"{publication.name} {publication.version} already exists")
    package_id, created = put
    await failpoints.reach("publish.after-package")
    if not stored and not await blobs.store(tx, publication.blob.id):
        raise Unavailable("the upload took too long and was cleaned away, try again")
    of_release = [package_id]
    if not publication.one_file:
        of_release += await _others_of_release(tx, package, package_id, same_version)
    if await package_files.insert_file(tx, package, package_id, _file(publication), of_release) is None:
        raise _RacedError
    if publication.deprecated:
        await packages.set_deprecated(tx, project.id, kind, name, {publication.version: publication.deprecated})
    for tag in publication.tags:
        await packages.set_tag(tx, project.id, kind, name, tag, package_id)
    await audit(
        tx,
        author,
        "package_published",
        project,
        package_id=package_id,
        package_type=kind,
        name=publication.name,
        version=publication.version,
        file_name=publication.file_name,
        sha256=publication.blob.digests.sha256,
    )
    return _Inserted(package_id, is_new, created)


def _package(author: Author, project: Project, publication: Publication) -> NewPackage:
    return NewPackage(
        project_id=project.id,
        package_type=publication.package_type,
        name=publication.name,
        normalized_name=publication.normalized_name,
        version=publication.version,
        manifest=publication.manifest,
        abbreviated=publication.abbreviated,
        readme=publication.readme,
        publish_session=publication.session,
        creator_id=author.actor.id if author.actor.is_user else None,
    )


def _file(publication: Publication) -> package_files.NewFile:
    return package_files.NewFile(
        file_name=publication.file_name,
        blob_id=publication.blob.id,
        requires_python=publication.requires_python,
        core_metadata=publication.core_metadata,
        core_metadata_sha256=publication.core_metadata_sha256,
        provenance=publication.provenance,
        facts=publication.facts,
    )


async def _others_of_release(tx: Db, package: NewPackage, package_id: int, same_version: SameVersion) -> list[int]:
    """The other packages of a release whose name or version is spelled in several ways; none where none is yanked."""
    beside = await packages.list_beside_yanks(tx, package.project_id, package.package_type, package.normalized_name)
    return [one.id for one in beside if one.id != package_id and same_version(one.version, package.version)]


async def _check_unique(tx: Db, project: Project, publication: Publication, root_id: int) -> None:
    await package_names.lock_root(tx, root_id)
    if await package_names.is_elsewhere(
        tx,
        publication.package_type,
        publication.normalized_name,
        publication.version,
        project_id=project.id,
        root_id=root_id,
    ):
        raise TakenElsewhere
