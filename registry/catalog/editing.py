"""Editing: tags, deprecations, signatures, yanks and statuses of what is published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from registry import protection, signing
from registry.catalog.transactions import change, lock_name, note_moved
from registry.db import namespaces, package_files, package_names, packages
from registry.db.connection import Database
from registry.db.instance import Author, audit
from registry.db.package_files import ReleaseFile
from registry.db.packages import UnsignedVersion
from registry.errors import FileNotFound, NotFound
from registry.model import NameStatus, Project
from registry.signing import SigningKey

# Versions signed in one transaction.
_BATCH = 200


async def set_tag(
    db: Database, author: Author, project: Project, package_type: str, name: str, tag: str, version: str
) -> None:
    """Point a dist-tag of a normalised name at a version. As protected as a publish: it changes what people install.

    Raises NotFound when the version is not here, Forbidden when the name is protected.
    """
    async with change(db, "tag") as tx:
        await protection.check(tx, author.actor, project, "push", [(package_type, name)])
        await package_names.find_name_status(tx, project.id, package_type, name)
        package_id = await packages.find_version(tx, project.id, package_type, name, version)
        if package_id is None:
            raise NotFound("404 Package Not Found")
        await packages.set_tag(tx, project.id, package_type, name, tag, package_id)
        await package_names.move_serial(tx, project.id, package_type, name)
        await audit(
            tx, author, "package_tag_set", project, package_type=package_type, name=name, tag=tag, version=version
        )
        await note_moved(tx, project, (package_type, name), index=False)


async def delete_tag(db: Database, author: Author, project: Project, package_type: str, name: str, tag: str) -> None:
    """Remove a dist-tag of a normalised name. Raises NotFound when there is none, Forbidden when it is protected."""
    async with change(db, "tag") as tx:
        await protection.check(tx, author.actor, project, "push", [(package_type, name)])
        await package_names.find_name_status(tx, project.id, package_type, name)
        if not await packages.delete_tag(tx, project.id, package_type, name, tag):
            raise NotFound("404 Package Tag Not Found")
        await package_names.move_serial(tx, project.id, package_type, name)
        await audit(tx, author, "package_tag_deleted", project, package_type=package_type, name=name, tag=tag)
        await note_moved(tx, project, (package_type, name), index=False)


async def deprecate(
    db: Database,
    author: Author,
    project: Project,
    package_type: str,
    name: str,
    messages: Mapping[str, str | None],
    *,
    serial: int | None = None,
) -> None:
    """Deprecate versions of a normalised name, or take it back (None). Unknown versions are skipped.

    Raises Forbidden when the name is protected, Moved when `serial` is given and not the one of the name.
    """
    async with change(db, "deprecate") as tx:
        await protection.check(tx, author.actor, project, "push", [(package_type, name)])
        await lock_name(tx, project, package_type, name, serial)
        changed = await packages.set_deprecated(tx, project.id, package_type, name, messages)
        if not changed:
            return
        await package_names.move_serial(tx, project.id, package_type, name)
        await audit(
            tx,
            author,
            "package_deprecated",
            project,
            package_type=package_type,
            name=name,
            versions={version: messages[version] for version in changed},
        )
        await note_moved(tx, project, (package_type, name), index=False, listed=True)


async def sign(
    db: Database,
    author: Author,
    key: SigningKey,
    package_type: str,
    signed_text: Callable[[str, str, str], str],
    *,
    again: bool = False,
) -> int:
    """Sign the versions that were published without a signature; `again`: those without one of this key.

    `signed_text` makes of a name, a version and a sha512 what is signed. Answers how many versions were signed, a batch
    in each transaction: what an interrupted run left out the next one signs.
    """
    have = {"signatures": [{"keyid": key.id}] if again else []}
    signed, after = 0, 0
    while batch := await packages.list_unsigned(db, package_type, after, have, _BATCH):
        after = batch[-1].id
        for project_id in sorted({one.project_id for one in batch}):
            versions = [one for one in batch if one.project_id == project_id]
            await _sign(db, author, key, package_type, signed_text, versions)
            signed += len(versions)
    return signed


async def _sign(
    db: Database,
    author: Author,
    key: SigningKey,
    package_type: str,
    signed_text: Callable[[str, str, str], str],
    versions: Sequence[UnsignedVersion],
) -> None:
    """Sign some versions of one project."""
    facts = {one.id: signing.facts(key.sign(signed_text(one.name, one.version, one.sha512))) for one in versions}
    names = sorted({(package_type, one.normalized_name) for one in versions})
    async with db.transaction() as tx:
        project = await namespaces.find_project(tx, versions[0].project_id)
        if project is None:
            return
        for kind, name in names:
            await package_names.find_name_status(tx, project.id, kind, name)
        await packages.add_facts(tx, project.id, facts)
        for kind, name in names:
            await package_names.move_serial(tx, project.id, kind, name)
        await audit(
            tx,
            author,
            "packages_signed",
            project,
            package_type=package_type,
            key_id=key.id,
            names=[name for _, name in names],
            versions=len(versions),
        )
        await note_moved(tx, project, *names, index=False)


async def yank(
    db: Database,
    author: Author,
    project: Project,
    package_type: str,
    name: str,
    is_chosen: Callable[[ReleaseFile], bool],
    *,
    yanked: bool,
    reason: str | None = None,
) -> None:
    """Yank files of a normalised name (PEP 592), or take it back. As protected as a publish: installs depend on it.

    Raises Forbidden when the name is protected, NotFound when it has no files, FileNotFound when none is chosen.
    """
    async with db.transaction() as tx:
        await protection.check(tx, author.actor, project, "push", [(package_type, name)])
        # A file that joins the release waits for this lock, and then finds the others yanked.
        await package_names.find_name_status(tx, project.id, package_type, name)
        files = await package_files.list_release_files(tx, package_type, name, [project.id])
        if not files:
            raise NotFound("404 Package Not Found")
        chosen = [file.file_name for file in files if is_chosen(file)]
        if not chosen:
            raise FileNotFound("404 Package Not Found")
        changed = await package_files.set_yanked(
            tx, project.id, package_type, name, chosen, yanked=yanked, reason=reason if yanked else None
        )
        if not changed:
            return
        await package_names.move_serial(tx, project.id, package_type, name)
        event = "package_yanked" if yanked else "package_unyanked"
        details = {"reason": reason} if yanked else {}
        await audit(tx, author, event, project, package_type=package_type, name=name, files=changed, **details)
        await note_moved(tx, project, (package_type, name), index=False)


async def set_status(
    db: Database,
    author: Author,
    project: Project,
    package_type: str,
    name: str,
    *,
    status: NameStatus,
    reason: str | None,
) -> None:
    """Give a normalised name a status (PEP 792): archived and quarantined ones take no files, the latter offer none.

    Raises NotFound when the name never was here, Forbidden when it is protected.
    """
    async with db.transaction() as tx:
        await protection.check(tx, author.actor, project, "push", [(package_type, name)])
        if await package_names.find_name_status(tx, project.id, package_type, name) is None:
            raise NotFound("404 Package Not Found")
        if not await package_names.set_name_status(tx, project.id, package_type, name, status=status, reason=reason):
            return
        await package_names.move_serial(tx, project.id, package_type, name)
        await audit(
            tx,
            author,
            "package_status_set",
            project,
            package_type=package_type,
            name=name,
            status=status,
            reason=reason,
        )
        await note_moved(tx, project, (package_type, name), index=False)
