"""Audit events: who changed what, in GitLab's shape. Nobody can change or delete them here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from registry.access import Ability
from registry.api import schemas
from registry.api.entities import Entity, timestamp
from registry.api.face import MEMBERS_FACE
from registry.api.groups import fields
from registry.api.pagination import KEYSET, pages, respond
from registry.db import audit_events
from registry.db.audit_events import AuditEvent, EventFilter
from registry.errors import NotFound
from registry.server import responses
from registry.server.context import Context
from registry.server.parameters import BadParameters, Parameter, given, number
from registry.server.routes import Route

# What GitLab calls the instance as a thing that events are about; it has the id 1.
_INSTANCE = "Gitlab::Audit::InstanceScope"
_ENTITIES: Mapping[str, str] = {"User": "User", "Group": "Group", "Project": "Project", _INSTANCE: "Instance"}
_AUTHORS: Mapping[str, str] = {"user": "User", "deploy_token": "DeployToken", "system": "System"}
# Ids of authors who are no users (GitLab: -2 are deploy tokens, -1 nobody in particular).
_NO_USERS: Mapping[str, int] = {"deploy_token": -2}
# What an event was about within its entity: the detail that holds its id, and the type GitLab gives it.
_TARGETS: Mapping[str, str] = {
    "package_protection_rule_id": "Packages::Protection::Rule",
    "package_id": "Packages::Package",
    "deploy_token_id": "DeployToken",
    "personal_access_token_id": "PersonalAccessToken",
    "user_id": "User",
}

_LIST = (
    Parameter("created_after", "datetime", "made at this time or later"),
    Parameter("created_before", "datetime", "made at this time or earlier"),
    Parameter("order_by", description="by what to order", values=("id",)),
    Parameter("sort", description="direction; newest first without", values=("asc", "desc")),
    *KEYSET,
)
_LIST_ALL = (
    Parameter("entity_type", description="only about such things", values=tuple(_ENTITIES)),
    Parameter("entity_id", "integer", "only about this one; needs entity_type"),
    *_LIST,
)


async def index_all(context: Context) -> web.Response:
    """List the audit events of everything."""
    values = await given(context)
    if "entity_id" in values and "entity_type" not in values:
        raise BadParameters("entity_type is missing")
    kind = _ENTITIES.get(values.get("entity_type", ""))
    return await _list(context, values, kind, None if kind == "Instance" else values.get("entity_id"))


async def show_any(context: Context) -> web.Response:
    """Retrieve an audit event."""
    return responses.json(_entity(await _find(context)))


async def index(context: Context) -> web.Response:
    """List the audit events of a project or group."""
    return await _list(context, await given(context), *_home(context))


async def show(context: Context) -> web.Response:
    """Retrieve an audit event of a project or group."""
    event = await _find(context)
    if (event.entity_type, event.entity_id) != _home(context):
        raise _absent()
    return responses.json(_entity(event))


async def _list(
    context: Context, values: Mapping[str, Any], entity_type: str | None, entity_id: int | None
) -> web.Response:
    chosen = EventFilter(entity_type, entity_id, **fields(values, "created_after", "created_before"))
    asked, db = pages(values, descending=True, rows="AuditEvent"), context.services.db
    found = await audit_events.page_events(db, chosen, asked.window)
    shown = await audit_events.list_events(db, found.ids[: asked.per_page])
    return respond(context, asked, found, [_entity(one) for one in shown])


def _home(context: Context) -> tuple[str, int]:
    project = context.target.project
    return ("Project", project.id) if project is not None else ("Group", context.group.id)


async def _find(context: Context) -> AuditEvent:
    event_id = number(context.params["audit_event_id"], "audit_event_id")
    found = await audit_events.list_events(context.services.db, [event_id])
    if not found:
        raise _absent()
    return found[0]


def _absent() -> NotFound:
    return NotFound("404 Audit Event Not Found")


def _entity(one: AuditEvent) -> Entity:
    author = one.author_id if one.author_kind == "user" else _NO_USERS.get(one.author_kind, -1)
    instance = one.entity_type == "Instance"
    return {
        "id": one.id,
        "author_id": author,
        "entity_id": 1 if instance else one.entity_id,
        "entity_type": _INSTANCE if instance else one.entity_type,
        "event_name": one.event_name,
        "details": {
            **one.details,
            "event_name": one.event_name,
            "author_name": one.author_name,
            "author_class": _AUTHORS.get(one.author_kind, one.author_kind),
            "token_id": one.token_id,
            **_target(one),
            "custom_message": one.event_name.replace("_", " ").capitalize(),
            "ip_address": one.ip_address,
            "entity_path": one.entity_path,
        },
        "created_at": timestamp(one.created_at),
    }


def _target(one: AuditEvent) -> Entity:
    """What was changed within the entity, the entity itself when nothing else is named."""
    details = one.details
    for key, kind in _TARGETS.items():
        if key in details:
            return {"target_id": details[key], "target_type": kind, "target_details": _coordinate(one)}
    if "package_type" in details:
        return {"target_id": None, "target_type": "Packages::Package", "target_details": _coordinate(one)}
    return {"target_id": one.entity_id, "target_type": one.entity_type, "target_details": one.entity_path}


def _coordinate(one: AuditEvent) -> str:
    """What a person calls it: `pypi/flask/1.0/flask-1.0.tar.gz`, or the path of the entity."""
    names = ("package_type", "package_name_pattern", "name", "version", "tag", "file_name")
    parts = [str(one.details[name]) for name in names if one.details.get(name) is not None]
    return "/".join(parts) if "package_type" in one.details else one.entity_path


def _routes(noun: str, ability: Ability) -> tuple[Route, ...]:
    base = f"/api/v4/{noun}/{{id}}/audit_events"
    return (
        Route("GET", base, index, ability, face=MEMBERS_FACE, parameters=_LIST, answers={200: schemas.AUDIT_EVENTS}),
        Route("GET", f"{base}/{{audit_event_id}}", show, ability, face=MEMBERS_FACE,
              answers={200: schemas.AUDIT_EVENT}),
    )  # fmt: skip


ROUTES = (
    Route("GET", "/api/v4/audit_events", index_all, Ability.INSPECT_INSTANCE, parameters=_LIST_ALL,
          answers={200: schemas.AUDIT_EVENTS}),
    Route("GET", "/api/v4/audit_events/{audit_event_id}", show_any, Ability.INSPECT_INSTANCE,
          answers={200: schemas.AUDIT_EVENT}),
    *_routes("groups", Ability.OVERSEE_GROUP),
    *_routes("projects", Ability.INSPECT_PROJECT),
)  # fmt: skip
