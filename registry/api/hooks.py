"""Hooks: URLs of a project or group that are told what happens to packages. The same routes serve both."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from registry import hooks, triggers
from registry.access import Ability
from registry.accounts import place_of
from registry.api import schemas
from registry.api.entities import Entity, timestamp
from registry.api.face import MEMBERS_FACE
from registry.api.groups import fields
from registry.api.pagination import PAGE, pages, respond
from registry.db.hooks import Hook, HookEvent, list_events, list_hooks, page_events
from registry.deliveries import message_id
from registry.errors import NotFound
from registry.model import Group, Project
from registry.server import responses
from registry.server.context import Context
from registry.server.parameters import Parameter, given, number
from registry.server.routes import Route

_URL = "where to send events; only public addresses are reached, unless the operator allows more"
_FIELDS = (
    Parameter("name", description="what people call it"),
    Parameter("description", description="what it is for"),
    Parameter("events", "strings", "what it is told; all when absent", values=triggers.NAMES),
    Parameter("token", description="sent along as X-Gitlab-Token; never shown"),
    Parameter("signing_token", description="key of the signatures, `whsec_` and base64; generated when absent"),
    Parameter("enable_ssl_verification", "boolean", "whether certificates are checked"),
)
_CREATE = (Parameter("url", description=_URL, required=True), *_FIELDS)
_UPDATE = (Parameter("url", description=_URL), *_FIELDS)
_NAMES = tuple(one.name for one in _CREATE)
_EVENTS = (Parameter("state", description="only those in this state", values=("pending", "delivered", "failed")), *PAGE)


async def index(context: Context) -> web.Response:
    """List the hooks of a project or group, all of them."""
    found = await list_hooks(context.services.db, place_of(_home(context)))
    return responses.json([_entity(one) for one in found])


async def show(context: Context) -> web.Response:
    """Retrieve a hook."""
    return responses.json(_entity(await _asked(context)))


async def create(context: Context) -> web.Response:
    """Make a hook. Its signing token is in this answer and nowhere else."""
    values, services = await given(context), context.services
    hook, key = await hooks.create_hook(
        services.db, context.author, _home(context), fields(values, *_NAMES), services.settings.hook_ranges()
    )
    return responses.json({**_entity(hook), "signing_token": key}, status=201)


async def update(context: Context) -> web.Response:
    """Change a hook. If it was disabled it is told again; an empty token takes the token away."""
    values, services, hook = await given(context), context.services, await _asked(context)
    changed = await hooks.update_hook(
        services.db, context.author, _home(context), hook.id, fields(values, *_NAMES), services.settings.hook_ranges()
    )
    return responses.json(_entity(changed))


async def delete(context: Context) -> web.Response:
    """Delete a hook. It is told nothing more; the log of its events is removed in the background."""
    await hooks.delete_hook(context.services.db, context.author, _home(context), _id(context))
    return web.Response(status=204)


async def index_events(context: Context) -> web.Response:
    """List what a hook was told in the last days and is to be told, newest first."""
    values, hook, db = await given(context), await _asked(context), context.services.db
    asked = pages(values)
    found = await page_events(db, hook.id, values.get("state"), asked.window)
    events = await list_events(db, hook.id, found.ids[: asked.per_page])
    return respond(context, asked, found, [_event(hook, one) for one in events])


async def resend(context: Context) -> web.Response:
    """Send an event once more, with the id that it had. A disabled hook is told again."""
    db, hook = context.services.db, await _asked(context)
    event_id = number(context.params["hook_event_id"], "hook_event_id")
    await hooks.resend_event(db, context.author, _home(context), hook.id, event_id)
    return await _one_event(context, hook, event_id)


async def test(context: Context) -> web.Response:
    """Send an event that did not happen. A disabled hook is told again."""
    db, hook, trigger = context.services.db, await _asked(context), context.params["trigger"]
    if trigger not in triggers.NAMES:
        raise NotFound("404 Trigger Not Found")
    event_id = await hooks.test_hook(db, context.author, _home(context), hook.id, trigger)
    return await _one_event(context, hook, event_id)


def _home(context: Context) -> Project | Group:
    return context.target.project or context.group


def _id(context: Context) -> int:
    return number(context.params["hook_id"], "hook_id")


async def _asked(context: Context) -> Hook:
    return await hooks.find_hook(context.services.db, _home(context), _id(context))


async def _one_event(context: Context, hook: Hook, event_id: int) -> web.Response:
    (event,) = await list_events(context.services.db, hook.id, [event_id])
    return responses.json(_event(hook, event), status=201)


def _entity(hook: Hook) -> Entity:
    paused = hook.failures > 0 and hook.next_attempt_at > datetime.now(UTC)
    status = "disabled" if hook.disabled else "temporarily_disabled" if paused else "executable"
    return {
        "id": hook.id,
        "project_id": hook.project_id,
        "group_id": hook.namespace_id,
        "url": hook.url,
        "name": hook.name,
        "description": hook.description,
        "events": hook.events,
        "enable_ssl_verification": hook.enable_ssl_verification,
        "token_present": hook.token,
        "alert_status": status,
        "disabled_until": timestamp(hook.next_attempt_at) if status == "temporarily_disabled" else None,
        "created_at": timestamp(hook.created_at),
    }


def _event(hook: Hook, one: HookEvent) -> Entity:
    return {
        "id": one.id,
        "webhook_id": message_id(one.message_id),
        "url": hook.url,
        "trigger": one.trigger,
        "state": one.state,
        "attempts": one.attempts,
        "request_data": one.payload,
        "response_status": one.response_status,
        "response_body": one.response_body,
        "error": one.error,
        "execution_duration": one.duration,
        "attempted_at": timestamp(one.attempted_at),
        "created_at": timestamp(one.created_at),
    }


def _routes(noun: str, inspect: Ability, change: Ability) -> tuple[Route, ...]:
    base, face = f"/api/v4/{noun}/{{id}}/hooks", MEMBERS_FACE
    one = f"{base}/{{hook_id}}"
    return (
        Route("GET", base, index, inspect, face=face, answers={200: schemas.HOOKS}),
        Route("POST", base, create, change, face=face, parameters=_CREATE, answers={201: schemas.NEW_HOOK}),
        Route("GET", one, show, inspect, face=face, answers={200: schemas.HOOK}),
        Route("PUT", one, update, change, face=face, parameters=_UPDATE, answers={200: schemas.HOOK}),
        Route("DELETE", one, delete, change, face=face),
        Route("GET", f"{one}/events", index_events, inspect, face=face, parameters=_EVENTS,
              answers={200: schemas.HOOK_EVENTS}),
        Route("POST", f"{one}/events/{{hook_event_id}}/resend", resend, change, face=face,
              answers={201: schemas.HOOK_EVENT}),
        Route("POST", f"{one}/test/{{trigger}}", test, change, face=face, answers={201: schemas.HOOK_EVENT}),
    )  # fmt: skip


ROUTES = (
    *_routes("projects", Ability.INSPECT_PROJECT, Ability.MAINTAIN_PROJECT),
    *_routes("groups", Ability.OVERSEE_GROUP, Ability.ADMIN_GROUP),
)
