"""Grants: which names are reserved for the packages of one group, and the only module that changes these grants.

A grant on `acme` covers the name `acme` and all that begin with `acme-`, after normalisation, and not `acmefoo`
(PEP 752). It belongs to one group and holds for every project below it. Another group's projects cannot begin to use
such a name; what they had published under it before stays, and may go on. Nobody asks a public index for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from registry.db import changes, grants, namespaces
from registry.db.changes import Change
from registry.db.connection import Database, Db
from registry.db.grants import Grant
from registry.db.instance import Author, audit
from registry.errors import InvalidField, NotFound, RegistryError, Taken
from registry.model import Group, Project

# A valid name (PEP 508) after normalisation (PEP 503).
_PREFIX = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_LONGEST = 255


class Reserved(RegistryError):
    """The name is reserved for another group

    Not a Conflict: what is there already is no matter, and no client may take this for "published before".
    """

    status = 409


def prefixes(name: str) -> list[str]:
    """Every prefix whose grant covers a normalised name, the shortest first: `a-b` has `a` and `a-b`."""
    parts = name.split("-")
    return ["-".join(parts[:length]) for length in range(1, len(parts) + 1)]


def covering(known: Iterable[Grant], name: str) -> list[Grant]:
    """The grants that cover a normalised name, the shortest prefix first."""
    wanted = set(prefixes(name))
    return sorted((grant for grant in known if grant.prefix in wanted), key=lambda grant: len(grant.prefix))


def overlap(one: str, other: str) -> bool:
    """Whether a name could be covered by both prefixes."""
    return one in prefixes(other) or other in prefixes(one)


def owns(grant: Grant, ancestries: Iterable[Sequence[int]]) -> bool:
    """Whether everything with these ancestries is below the group that owns a grant."""
    return all(grant.namespace_id in ancestry for ancestry in ancestries)


async def check(tx: Db, project: Project, package_type: str, name: str) -> None:
    """Raise Reserved when a normalised name that is new to a project is covered by another group's grant."""
    grant = await grants.find_foreign(tx, package_type, prefixes(name), project.ancestry)
    if grant is not None:
        raise Reserved(f"{name} is reserved: names that begin with {grant.prefix} belong to another group (PEP 752)")


async def create(db: Database, author: Author, group: Group, package_type: str, prefix: str) -> Grant:
    """Reserve a normalised prefix for a group. Raises InvalidField, NotFound, Taken when it overlaps another's."""
    if len(prefix) > _LONGEST or not _PREFIX.fullmatch(prefix):
        raise InvalidField("prefix", "is not a valid package name (see PEP 508)")
    async with db.transaction() as tx:
        # The group first, as who deletes it does; then the grants, as two that overlap would each miss the other.
        if await namespaces.lock_group(tx, group.id) is None:
            raise NotFound("404 Group Not Found")
        await grants.lock_grants(tx)
        for other in await grants.list_grants(tx, package_type):
            if other.prefix == prefix or (other.namespace_id != group.id and overlap(other.prefix, prefix)):
                raise Taken("prefix")
        grant_id = await grants.insert_grant(tx, package_type, prefix, group.id)
        grant = next(one for one in await grants.list_grants(tx, package_type) if one.id == grant_id)
        await _note(tx, author, "name_prefix_granted", grant)
    return grant


async def delete(db: Database, author: Author, grant_id: int) -> None:
    """Give a prefix back, to whoever wants it. Raises NotFound."""
    async with db.transaction() as tx:
        grant = await grants.delete_grant(tx, grant_id)
        if grant is None:
            raise NotFound("404 Grant Not Found")
        await _note(tx, author, "name_prefix_revoked", grant)


async def _note(tx: Db, author: Author, event_name: str, grant: Grant) -> None:
    group = await namespaces.find_group(tx, grant.namespace_id)
    if group is None:
        raise NotFound("404 Group Not Found")
    await audit(tx, author, event_name, group, package_type=grant.package_type, prefix=grant.prefix)
    await changes.record(tx, [Change("settings", "grants")])
