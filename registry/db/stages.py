"""Stages and their files in Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from registry.access import Actor
from registry.db.connection import Db
from registry.db.queries import Queries
from registry.model import Blob, Digests

SQL = Queries("stages")


@dataclass(frozen=True, slots=True)
class Stage:
    """A set of files that waits to become visible, and takes none but its first when it is `sealed`.

    `released` are the packages it became: id, name and version of each.
    """

    id: UUID
    project_id: int
    package_type: str
    title: str
    sealed: bool
    state: str
    released: Sequence[Mapping[str, Any]]
    author_kind: str
    author_name: str
    created_at: datetime
    expires_at: datetime
    promoted_at: datetime | None


@dataclass(frozen=True, slots=True)
class ExpiredStage:
    """A stage to be dropped."""

    id: UUID
    project_id: int


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file of a stage without its publication, which may have megabytes; `people` are ids of users."""

    id: int
    stage_id: UUID
    package_type: str
    name: str
    normalized_name: str
    version: str
    file_name: str
    requires_python: str
    tag: str | None
    unique_below: int | None
    author_kind: str
    author_name: str
    people: Sequence[int]
    created_at: datetime
    blob_id: int
    key: str
    size: int
    sha256: str
    md5: str | None
    sha1: str | None
    sha512: str | None
    blake2b_256: str | None

    @property
    def blob(self) -> Blob:
        """The stored bytes."""
        digests = Digests(self.sha256, self.md5, self.sha1, self.sha512, self.blake2b_256)
        return Blob(self.blob_id, self.key, self.size, digests)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """What a row of a staged file is made of; `publication` is what `staging` made of the publication."""

    project_id: int
    package_type: str
    name: str
    normalized_name: str
    version: str
    file_name: str
    blob_id: int
    publication: Mapping[str, Any]


async def insert_stage(
    tx: Db, project_id: int, package_type: str, title: str, actor: Actor, *, sealed: bool, days: int
) -> UUID:
    """Make an open stage that ends after `days`; answers its id."""
    stage_id: UUID = await tx.fetchval(
        SQL.insert_stage, project_id, package_type, title, sealed, actor.kind, actor.id, _name(actor), days
    )
    return stage_id


async def find_stage(db: Db, project_id: int, stage_id: UUID) -> Stage | None:
    """One stage of a project."""
    row = await db.fetchrow(SQL.find_stage, project_id, stage_id)
    return Stage(**row) if row else None


async def lock_stage(tx: Db, project_id: int, stage_id: UUID) -> Stage | None:
    """One stage of a project, locked until the transaction ends."""
    row = await tx.fetchrow(SQL.lock_stage, project_id, stage_id)
    return Stage(**row) if row else None


async def list_stages(
    db: Db, project_id: int, *, package_type: str | None, state: str | None, limit: int, offset: int
) -> list[Stage]:
    """The stages of a project, newest first."""
    return [Stage(**row) for row in await db.fetch(SQL.list_stages, project_id, package_type, state, limit, offset)]


async def count_stages(db: Db, project_id: int, *, package_type: str | None = None, state: str | None = None) -> int:
    """How many stages a project has."""
    return int(await db.fetchval(SQL.count_stages, project_id, package_type, state))


async def lock_project(tx: Db, project_id: int) -> bool:
    """Lock a project until the transaction ends; False when it is gone."""
    return await tx.fetchval(SQL.lock_project, project_id) is not None


async def finish_stage(tx: Db, stage_id: UUID, released: Sequence[Mapping[str, Any]]) -> None:
    """Note that a stage was promoted, and what it became."""
    await tx.execute(SQL.finish_stage, stage_id, released)


async def delete_stage(tx: Db, stage_id: UUID) -> None:
    """Forget a stage."""
    await tx.execute(SQL.delete_stage, stage_id)


async def list_expired(db: Db, limit: int) -> list[ExpiredStage]:
    """Stages whose time is over, oldest first."""
    return [ExpiredStage(**row) for row in await db.fetch(SQL.list_expired, limit)]


async def lock_expired(tx: Db, stage_id: UUID) -> bool:
    """Lock a stage whose time is over; False when it is gone, or somebody else is at it."""
    return await tx.fetchval(SQL.lock_expired, stage_id) is not None


async def insert_file(tx: Db, stage_id: UUID, file: NewFile, actor: Actor, people: Sequence[int]) -> int | None:
    """Insert a file: its id, or None when the file name is in a stage already."""
    file_id: int | None = await tx.fetchval(
        SQL.insert_file,
        stage_id,
        file.project_id,
        file.package_type,
        file.name,
        file.normalized_name,
        file.version,
        file.file_name,
        file.blob_id,
        file.publication,
        actor.kind,
        actor.id,
        _name(actor),
        people,
    )
    return file_id


async def list_files(db: Db, stage_ids: Sequence[UUID], name: str | None = None) -> list[StagedFile]:
    """The files of some stages, oldest first; of one normalised name where that is given."""
    return [StagedFile(**row) for row in await db.fetch(SQL.list_files, stage_ids, name)]


async def find_file(db: Db, stage_id: UUID, file_name: str, sha256: str) -> StagedFile | None:
    """The file of a stage with a file name and a SHA-256."""
    row = await db.fetchrow(SQL.find_file, stage_id, file_name, sha256)
    return StagedFile(**row) if row else None


async def find_publication(db: Db, file_id: int) -> Mapping[str, Any] | None:
    """What `staging` made of the publication of a file; None when it is gone."""
    found: Mapping[str, Any] | None = await db.fetchval(SQL.find_publication, file_id)
    return found


async def list_sealed_files(
    db: Db, project_id: int, package_type: str, *, name: str | None, limit: int, offset: int
) -> list[StagedFile]:
    """The files of all sealed open stages of a project, newest first; of one normalised name where that is given."""
    rows = await db.fetch(SQL.list_sealed_files, project_id, package_type, name, limit, offset)
    return [StagedFile(**row) for row in rows]


async def count_sealed_files(db: Db, project_id: int, package_type: str, *, name: str | None) -> int:
    """How many files all sealed open stages of a project have."""
    return int(await db.fetchval(SQL.count_sealed_files, project_id, package_type, name))


async def find_staged(db: Db, project_id: int, package_type: str, name: str, file_name: str) -> StagedFile | None:
    """Which file holds a file name of a normalised name, of stages that have not expired."""
    row = await db.fetchrow(SQL.find_staged, project_id, package_type, name, file_name)
    return StagedFile(**row) if row else None


async def find_expired(db: Db, project_id: int, package_type: str, name: str, file_name: str) -> ExpiredStage | None:
    """Which stage whose time is over holds a file name still."""
    row = await db.fetchrow(SQL.find_expired, project_id, package_type, name, file_name)
    return ExpiredStage(**row) if row else None


async def count_files(db: Db, stage_id: UUID) -> int:
    """How many files a stage has."""
    return int(await db.fetchval(SQL.count_files, stage_id))


async def delete_files(tx: Db, stage_id: UUID, file_id: int | None = None) -> list[int]:
    """Take files out of a stage, all or one; answers the ids of their blobs."""
    return [row["blob_id"] for row in await tx.fetch(SQL.delete_files, stage_id, file_id)]


async def take_file(tx: Db, file_id: int) -> Mapping[str, Any]:
    """Take a file out of its stage, which is locked; answers what `staging` made of its publication."""
    taken: Mapping[str, Any] = await tx.fetchval(SQL.take_file, file_id)
    return taken


async def list_people(db: Db, actor: Actor) -> list[int]:
    """Ids of the users behind an actor: itself, and who made or rotated the token of a bot among them."""
    return [row["user_id"] for row in await db.fetch(SQL.list_people, actor.kind, actor.id)]


async def is_human(db: Db, user_id: int) -> bool:
    """Whether a user is a person, not a bot."""
    return bool(await db.fetchval(SQL.is_human, user_id))


def _name(actor: Actor) -> str:
    return actor.username or actor.name or actor.kind
