"""Status: whether a name is active, archived, quarantined or deprecated, and why (PEP 792)."""

from __future__ import annotations

from dataclasses import dataclass

from registry.db import package_names
from registry.db.connection import Db
from registry.errors import Forbidden
from registry.lookups import Serials
from registry.model import NameStatus, Project

QUARANTINED = "quarantined"

_LIVELIEST_FIRST: tuple[NameStatus, ...] = ("active", "deprecated", "archived", "quarantined")


@dataclass(frozen=True, slots=True)
class Status:
    """A status, and the reason given for it."""

    status: NameStatus
    reason: str | None = None

    @property
    def json(self) -> dict[str, str]:
        """The `project-status` of a JSON page."""
        return {"status": self.status} | ({"reason": self.reason} if self.reason else {})


ACTIVE = Status("active")


def shown(serials: Serials) -> Status:
    """The status of a name among the projects asked: where they differ, it is as alive as in the liveliest."""
    statuses = [Status(status, reason) for _, status, reason in serials.statuses]
    return min(statuses, key=lambda one: _LIVELIEST_FIRST.index(one.status), default=ACTIVE)


async def of_project(db: Db, project: Project, name: str) -> Status:
    """The status of a normalised name in one project, also where all it has is staged."""
    rows = await package_names.list_serials(db, "pypi", name, [project.id])
    return Status(rows[0].status, rows[0].status_reason) if rows else ACTIVE


def check_offered(status: Status, name: str) -> None:
    """Raise Forbidden for what belongs to a file of a quarantined name."""
    if status.status == QUARANTINED:
        raise Forbidden(f"403 Forbidden - {name} is quarantined and offers no files")


def offering(serials: Serials) -> list[int]:
    """The projects whose files of a name are listed: all but those where it is quarantined."""
    silent = {project for project, status, _ in serials.statuses if status == QUARANTINED}
    return [project for project, _ in serials.pairs if project not in silent]
