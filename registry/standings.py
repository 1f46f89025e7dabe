"""Standings: what may still be done with a name and its files: the status of the name (PEP 792), yanks (PEP 592)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from registry import catalog
from registry.db import package_files, package_names
from registry.db.connection import Database
from registry.db.instance import Author
from registry.db.package_files import ReleaseFile
from registry.errors import InvalidField, NotFound
from registry.model import NameStatus, Project

STATUSES: tuple[NameStatus, ...] = get_args(NameStatus)
LONGEST_REASON = 1000

_ABSENT = "404 Package Not Found"


async def find(db: Database, project: Project, package_type: str, name: str, *, manages: bool = True) -> dict[str, Any]:
    """Name, status and files of a normalised name, as API and commands show them. Raises NotFound.

    Who does not manage the project is told of no name that has no version, as those that are only staged or all deleted
    have none, and of no file of a quarantined one.
    """
    rows = await package_names.list_serials(db, package_type, name, [project.id])
    if not rows or not (rows[0].exists or manages):
        raise NotFound(_ABSENT)
    offers = manages or rows[0].status != "quarantined"
    files = await package_files.list_release_files(db, package_type, name, [project.id]) if offers else []
    return {
        "name": name,
        "status": rows[0].status,
        "status_reason": rows[0].status_reason,
        "files": [
            {
                "file_name": file.file_name,
                "version": file.version,
                "yanked": file.yanked,
                "yanked_reason": file.yanked_reason,
            }
            for file in files
        ],
    }


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
    """Give a normalised name a status. Raises NotFound, Forbidden, InvalidField for an unfit reason."""
    sentence = _sentence(reason)
    await catalog.set_status(db, author, project, package_type, name, status=status, reason=sentence)


async def yank(
    db: Database,
    author: Author,
    project: Project,
    package_type: str,
    name: str,
    *,
    is_version: Callable[[str], bool] | None = None,
    file_name: str | None = None,
    yanked: bool,
    reason: str | None,
) -> None:
    """Yank files of a normalised name, or take it back: those of a version, the one of a file name, or of both.

    Raises NotFound, FileNotFound, Forbidden, InvalidField for an unfit reason.
    """
    sentence = _sentence(reason)

    def is_chosen(file: ReleaseFile) -> bool:
        return (is_version is None or is_version(file.version)) and file_name in {None, file.file_name}

    await catalog.yank(db, author, project, package_type, name, is_chosen, yanked=yanked, reason=sentence)


def _sentence(reason: str | None) -> str | None:
    """A reason as installers print it to a terminal: one line without control characters; None for an empty one."""
    text = " ".join((reason or "").split())
    if len(text) > LONGEST_REASON:
        raise InvalidField("reason", f"is too long (maximum is {LONGEST_REASON} characters)")
    if not text.isprintable():
        raise InvalidField("reason", "has characters that cannot be printed")
    return text or None
