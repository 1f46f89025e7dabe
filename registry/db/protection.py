"""Package protection rules in Postgres."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from registry.db.connection import Db
from registry.db.queries import Queries

SQL = Queries("protection")


@dataclass(frozen=True, slots=True)
class ProtectionRule:
    """A rule of a project. The levels are those of `access.AccessLevel`; None leaves the action at its usual level.

    `package_name_pattern` is as given, `normalized_pattern` as it is compared with normalised names.
    """

    id: int
    project_id: int
    package_type: str
    package_name_pattern: str
    normalized_pattern: str
    minimum_access_level_for_push: int | None
    minimum_access_level_for_delete: int | None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFields:
    """What a rule is made of."""

    package_type: str
    package_name_pattern: str
    normalized_pattern: str
    minimum_access_level_for_push: int | None
    minimum_access_level_for_delete: int | None


async def list_rules(db: Db, project_id: int) -> list[ProtectionRule]:
    """The rules of a project, oldest first."""
    return [ProtectionRule(**row) for row in await db.fetch(SQL.list_rules, project_id)]


async def lock_rule(tx: Db, project_id: int, rule_id: int) -> ProtectionRule | None:
    """One rule of a project, locked until the transaction ends."""
    row = await tx.fetchrow(SQL.lock_rule, project_id, rule_id)
    return ProtectionRule(**row) if row else None


async def insert_rule(tx: Db, project_id: int, fields: RuleFields) -> ProtectionRule:
    """Make a rule."""
    row = await tx.fetchrow(SQL.insert_rule, project_id, *_columns(fields))
    return ProtectionRule(**row)  # type: ignore[arg-type]  # it always answers one row


async def update_rule(tx: Db, rule_id: int, fields: RuleFields) -> None:
    """Change a rule."""
    await tx.execute(SQL.update_rule, rule_id, *_columns(fields))


async def delete_rule(tx: Db, rule_id: int) -> None:
    """Delete a rule."""
    await tx.execute(SQL.delete_rule, rule_id)


def _columns(fields: RuleFields) -> tuple[str, str, str, int | None, int | None]:
    return (
        fields.package_type,
        fields.package_name_pattern,
        fields.normalized_pattern,
        fields.minimum_access_level_for_push,
        fields.minimum_access_level_for_delete,
    )
