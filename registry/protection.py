"""Protection: which names ask for more than the usual level, and the only module that changes these rules.

A rule of a project covers the names of one package type that fit its pattern, and raises the level that publishing or
deleting them takes (GitLab: package protection rules). Where several rules fit, the highest level counts. A deploy
token has no level, so it never publishes what is protected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

import asyncpg

from registry.access import Actor, level_in
from registry.conditions import require_unmodified
from registry.db import protection
from registry.db.connection import Database, Db
from registry.db.instance import Author, audit
from registry.db.protection import ProtectionRule, RuleFields
from registry.errors import Forbidden, InvalidField, NotFound
from registry.model import Project

Action = Literal["push", "delete"]
# A package type and a name -> the name as the format compares names.
Normalize = Callable[[str, str], str]

_TEXTS: Mapping[Action, str] = MappingProxyType(
    {"push": "Package protected.", "delete": "Package is deletion protected."}
)
_TAKEN = "Package name pattern has already been taken"
_PATTERN = re.compile(r"[!-~]{1,255}", re.ASCII)


class InvalidRule(InvalidField):
    """A protection rule that cannot be"""

    status = 422

    def __init__(self, problem: str) -> None:
        super().__init__("error", problem)


def fits(pattern: str, name: str) -> bool:
    """Whether a normalised name fits a normalised pattern. `*` is any text, even none; case does not matter.

    Takes the leftmost place for each piece between two stars, which is right for this one wildcard and linear.
    """
    first, *rest = pattern.lower().split("*")
    name = name.lower()
    if not rest:
        return name == first
    *middle, last = rest
    if not name.startswith(first):
        return False
    at, end = len(first), len(name) - len(last)
    for piece in middle:
        found = name.find(piece, at, max(end, at))
        if found < 0:
            return False
        at = found + len(piece)
    return at <= end and name.endswith(last)


def is_protected(rules: Iterable[ProtectionRule], action: Action, package_type: str, name: str, level: int) -> bool:
    """Whether the rules of a project keep somebody of this access level from doing this to a normalised name."""
    return any(
        level < (_minimum(rule, action) or 0)
        and rule.package_type == package_type
        and fits(rule.normalized_pattern, name)
        for rule in rules
    )


async def check(db: Db, actor: Actor, project: Project, action: Action, names: Iterable[tuple[str, str]]) -> None:
    """Raise Forbidden when any of some names (package type, normalised name) is protected from this actor."""
    rules = await protection.list_rules(db, project.id)
    level = level_in(actor, project)
    if any(is_protected(rules, action, package_type, name, level) for package_type, name in names):
        raise Forbidden(_TEXTS[action])


async def create_rule(
    db: Database, author: Author, project: Project, values: Mapping[str, Any], normalize: Normalize
) -> ProtectionRule:
    """Make a rule of the fields of `RuleFields`, but for the normalised pattern. Raises InvalidRule."""
    fields = _fields(values, normalize)
    try:
        async with db.transaction() as tx:
            rule = await protection.insert_rule(tx, project.id, fields)
            await _note(tx, author, project, "package_protection_rule_created", rule.id, fields)
    except asyncpg.UniqueViolationError as error:
        raise InvalidRule(_TAKEN) from error
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound("404 Project Not Found") from error
    return rule


async def update_rule(
    db: Database, author: Author, project: Project, rule_id: int, changed: Mapping[str, Any], normalize: Normalize
) -> ProtectionRule:
    """Change some fields of a rule. Raises InvalidRule, NotFound."""
    try:
        async with db.transaction() as tx:
            rule = await _locked(tx, project, rule_id)
            fields = _fields({**asdict(rule), **changed}, normalize)
            await protection.update_rule(tx, rule.id, fields)
            await _note(tx, author, project, "package_protection_rule_updated", rule.id, fields)
    except asyncpg.UniqueViolationError as error:
        raise InvalidRule(_TAKEN) from error
    return replace(rule, **asdict(fields))


async def delete_rule(
    db: Database, author: Author, project: Project, rule_id: int, *, unmodified_since: datetime | None = None
) -> None:
    """Delete a rule. Raises NotFound, PreconditionFailed when it was changed since."""
    async with db.transaction() as tx:
        rule = await _locked(tx, project, rule_id)
        require_unmodified(rule.updated_at, unmodified_since)
        await protection.delete_rule(tx, rule.id)
        await _note(tx, author, project, "package_protection_rule_deleted", rule.id, rule)


def _minimum(rule: ProtectionRule, action: Action) -> int | None:
    return rule.minimum_access_level_for_push if action == "push" else rule.minimum_access_level_for_delete


async def _locked(tx: Db, project: Project, rule_id: int) -> ProtectionRule:
    rule = await protection.lock_rule(tx, project.id, rule_id)
    if rule is None:
        raise NotFound("404 Not found")
    return rule


def _fields(values: Mapping[str, Any], normalize: Normalize) -> RuleFields:
    """The fields of a rule, checked, with GitLab's texts."""
    package_type, pattern = values["package_type"], values["package_name_pattern"]
    if not _PATTERN.fullmatch(pattern):
        raise InvalidRule("Package name pattern should be a valid package name with optional wildcard characters.")
    push, delete = values.get("minimum_access_level_for_push"), values.get("minimum_access_level_for_delete")
    if push is None and delete is None:
        raise InvalidRule("A rule must have at least a minimum access role for push or delete.")
    return RuleFields(
        package_type=package_type,
        package_name_pattern=pattern,
        normalized_pattern=normalize(package_type, pattern),
        minimum_access_level_for_push=push,
        minimum_access_level_for_delete=delete,
    )


async def _note(
    tx: Db, author: Author, project: Project, event_name: str, rule_id: int, fields: RuleFields | ProtectionRule
) -> None:
    await audit(
        tx,
        author,
        event_name,
        project,
        package_protection_rule_id=rule_id,
        package_type=fields.package_type,
        package_name_pattern=fields.package_name_pattern,
        minimum_access_level_for_push=fields.minimum_access_level_for_push,
        minimum_access_level_for_delete=fields.minimum_access_level_for_delete,
    )
