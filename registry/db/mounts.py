"""Mounts in Postgres: base URLs of their own for projects and groups."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from registry.db.connection import Db
from registry.db.queries import Queries

SQL = Queries("mounts")


@dataclass(frozen=True, slots=True)
class MountRow:
    """A mount: `host` is '' for any, `prefix` is '' for the root, `package_type` is '' for every type."""

    id: int
    url: str
    host: str
    prefix: str
    package_type: str
    namespace_id: int | None
    project_id: int | None
    created_at: datetime
    full_path: str

    def base_url(self, external_url: str) -> str:
        """What URLs in documents begin with, no trailing slash. A mount of any host names the external URL's."""
        return self.url if self.host else f"{external_url}{self.prefix}"


async def list_mounts(db: Db) -> list[MountRow]:
    """All of them, by address."""
    return [MountRow(**row) for row in await db.fetch(SQL.list_mounts)]


async def insert_mount(
    tx: Db, *, url: str, host: str, prefix: str, package_type: str, namespace_id: int | None, project_id: int | None
) -> int:
    """Make a mount; answers its id."""
    return int(await tx.fetchval(SQL.insert_mount, url, host, prefix, package_type, namespace_id, project_id))


async def delete_mount(tx: Db, mount_id: int) -> str | None:
    """Delete a mount; answers its address, None when there is none."""
    url: str | None = await tx.fetchval(SQL.delete_mount, mount_id)
    return url
