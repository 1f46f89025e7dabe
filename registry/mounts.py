"""Mounts: the only module that changes which project or group is served at which address of its own."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg

from registry.db import changes, mounts
from registry.db.changes import Change
from registry.db.connection import Database
from registry.db.instance import Author, audit
from registry.db.mounts import MountRow
from registry.errors import InvalidField, NotFound, Taken
from registry.model import Group, Project

# Segments of a prefix. The first may not be `api`, nor begin with `-`: those paths are the server's own.
MOST_SEGMENTS = 4
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~-]{0,127}", re.ASCII)
_LABELS = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*")
_DEFAULT_PORT = re.compile(r":(80|443)$")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a mount is: its URL without a trailing slash, the Host of a request ('' for any), and the path prefix."""

    url: str
    host: str
    prefix: str


def plain_host(host: str) -> str:
    """A Host header as hosts of mounts are compared: small letters, without a default port or a last dot."""
    return _DEFAULT_PORT.sub("", host.lower()).removesuffix(".")


def parse_address(url: str) -> Address:
    """Read `https://host[:port][/path]`, or `/path` for a place below every host; `/` is the root.

    Raises InvalidField for anything else, and for prefixes that would hide the server's own paths.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidField("url", "is no URL") from None
    if parts.query or parts.fragment or "@" in parts.netloc or not (url.isascii() and url.isprintable()):
        raise InvalidField("url", "must be an http or https URL without credentials and query, or a path")
    prefix = parts.path.rstrip("/")
    segments = prefix.split("/")[1:]
    if not (url.startswith("/") or parts.scheme) or len(segments) > MOST_SEGMENTS:
        raise InvalidField("url", f"must have a path of at most {MOST_SEGMENTS} segments that begins with a slash")
    if not all(map(_SEGMENT.fullmatch, segments)) or segments[:1] == ["api"]:
        raise InvalidField("url", "has a path that cannot be mounted: letters, digits, . _ ~ -, and not below /api")
    if not parts.scheme and not parts.netloc:
        return Address(prefix or "/", "", prefix)
    if parts.scheme not in {"http", "https"} or not _is_host(parts.hostname or "") or port == 0:
        raise InvalidField("url", "must be an http or https URL, or a path")
    host = plain_host(parts.netloc)
    return Address(f"{parts.scheme}://{host}{prefix}", host, prefix)


def _is_host(name: str) -> bool:
    if ":" in name:
        try:
            ipaddress.IPv6Address(name)
        except ValueError:
            return False
        return True
    return _LABELS.fullmatch(name.removesuffix(".")) is not None


async def create_mount(
    db: Database, author: Author, place: Project | Group, *, url: str, package_type: str
) -> MountRow:
    """Serve a project or group at an address, for one package type or ('') for all that have no mount there.

    Raises InvalidField, Taken when something of that type is there already, NotFound when the place is gone.
    """
    address = parse_address(url)
    of_project = isinstance(place, Project)
    try:
        async with db.transaction() as tx:
            mount_id = await mounts.insert_mount(
                tx,
                url=address.url,
                host=address.host,
                prefix=address.prefix,
                package_type=package_type,
                namespace_id=None if of_project else place.id,
                project_id=place.id if of_project else None,
            )
            await audit(tx, author, "mount_created", place, url=address.url, package_type=package_type or None)
            await changes.record(tx, [Change("mounts")])
            made = [one for one in await mounts.list_mounts(tx) if one.id == mount_id]
    except asyncpg.UniqueViolationError as error:
        raise Taken("url") from error
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound(f"404 {'Project' if of_project else 'Group'} Not Found") from error
    return made[0]


async def delete_mount(db: Database, author: Author, mount_id: int) -> None:
    """Stop serving at an address, on every replica at once. Raises NotFound."""
    async with db.transaction() as tx:
        url = await mounts.delete_mount(tx, mount_id)
        if url is None:
            raise NotFound("404 Mount Not Found")
        await audit(tx, author, "mount_deleted", ("Instance", None, ""), url=url)
        await changes.record(tx, [Change("mounts")])
