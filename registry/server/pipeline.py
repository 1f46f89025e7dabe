"""The pipeline: one function between aiohttp and every handler.

Find the route, wait for the barrier, authenticate, count against the limits, resolve the target, check the ability,
call the handler, turn what was raised into the face's answer, measure. A document that was answered to the very same
request is answered again without all that, when the barrier shows that nothing has changed in between.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from registry import metrics
from registry.access import ANONYMOUS, Ability, Actor
from registry.db.mounts import MountRow
from registry.documents import Document
from registry.errors import Forbidden, MethodNotAllowed, NotFound, RegistryError, Unauthenticated, Unavailable
from registry.model import Level, Target
from registry.server import responses
from registry.server.auth import STRANGER, authenticate, client_address, secret
from registry.server.context import Context
from registry.server.finished import Finished
from registry.server.limits import Limits
from registry.server.mounting import Mounting, may_be_mounted
from registry.server.routes import Endpoint, Face, Match, Table
from registry.services import Services

log = logging.getLogger(__name__)

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_NOWHERE = Target(Level.INSTANCE, None, None, ())
# Answers kept, and what each costs beside its key and its document.
_REMEMBERED = 20_000
_OVERHEAD = 1_000


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a request was answered, good as long as no change was seen since and the actor's rights have not ended."""

    seen: tuple[int, int]
    valid_until: datetime | None
    document: Document
    endpoint: Endpoint
    actor: Actor
    token_id: int | None
    package_id: int | None


class Pipeline:
    """What aiohttp calls for every request."""

    def __init__(self, services: Services, table: Table, fallback: Face) -> None:
        self._services = services
        self._table = table
        self._mounting = Mounting(table)
        self._fallback = fallback
        self._proxies = services.settings.proxies()
        self._limits = Limits(services.settings.failed_sign_ins)
        self._limits_as_of: tuple[int, int] | None = None
        self._answers: dict[tuple[object, ...], _Answer] = {}
        self._answers_size = 0
        self._observers: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; nothing is raised but what ends the connection."""
        started = time.perf_counter()
        context: Context | None = None
        template = "none"
        try:
            key = _key(request) if request.method == "GET" else None
            answer = self._answers.get(key) if key is not None else None
            if answer is None and key is not None and self._mounting:
                answer = self._answers.get(_key_of_host(request, key))
            if answer is not None:
                template = answer.endpoint.template
                await self._services.changes.barrier()
                if self._holds(request, answer):
                    response = self._repeat(request, answer)
                    self._observe(template, request.method, response.status, started)
                    return response
            context = await self._find(request, passed_barrier=answer is not None)
            template = context.endpoint.template
            response = await self._serve(context, passed_barrier=answer is not None)
            if key is not None and isinstance(response, Finished):
                self._remember(key if context.mount is None else _key_of_host(request, key), context, response)
            _announce(response, context.quota)
        except RegistryError as error:
            response = self._refuse(request, context, error)
        except (ConnectionError, web.HTTPException):
            raise
        except Exception:
            log.exception("A %s of %s failed", request.method, template)
            response = self._refuse(request, context, RegistryError("500 Internal Server Error"))
        self._observe(template, request.method, response.status, started)
        return response

    def _repeat(self, request: web.Request, answer: _Answer) -> web.StreamResponse:
        """Answer as before. It is used, and counted, like the first time."""
        if self._limits.guessing:
            self._limits.check_secret(client_address(request, self._proxies), secret(request))
        response = responses.finished(request, answer.document)
        if self._limits.active:
            address = client_address(request, self._proxies)
            packages = answer.endpoint.format is not None
            _announce(response, self._limits.count(answer.actor, address, packages=packages))
        if answer.token_id is not None:
            self._services.usage.token_used(answer.token_id)
        if answer.package_id is not None:
            self._services.usage.downloaded(answer.package_id)
        return response

    def _refuse(self, request: web.Request, context: Context | None, error: RegistryError) -> web.StreamResponse:
        """The answer to an error, before a route was found as the format below whose base the path lies says it."""
        face = context.endpoint.face if context is not None else self._face(request)
        response = face.render(request, error)
        _announce(response, context.quota if context is not None else {})
        return response

    def _face(self, request: web.Request) -> Face:
        host = request.headers.get("Host", "")
        return self._table.face(request.raw_path) or self._mounting.face(host, request.raw_path) or self._fallback

    async def _find(self, request: web.Request, *, passed_barrier: bool) -> Context:
        """What a request is about: a route of the server's own, else one of a mount."""
        try:
            return self._context(request, self._table.find(request.method, request.raw_path))
        except (NotFound, MethodNotAllowed):
            if not may_be_mounted(request.raw_path):
                raise
            found = await self._find_mounted(request, passed_barrier=passed_barrier)
            if found is None:
                raise
            return found

    async def _find_mounted(self, request: web.Request, *, passed_barrier: bool) -> Context | None:
        services = self._services
        if not passed_barrier:
            await services.changes.barrier(write=request.method in _WRITES)
        seen = services.changes.position
        self._mounting.renew(await services.lookups.mounts())
        found = self._mounting.find(request.method, request.headers.get("Host", ""), request.raw_path)
        return self._context(request, found[0], found[1], seen) if found is not None else None

    def _context(
        self,
        request: web.Request,
        match: Match,
        mount: MountRow | None = None,
        seen: tuple[int, int] | None = None,
    ) -> Context:
        address = client_address(request, self._proxies)
        return Context(
            request,
            self._services,
            match.endpoint,
            match.params,
            ANONYMOUS,
            _NOWHERE,
            address,
            self._limits,
            seen=seen,
            mount=mount,
        )

    async def _serve(self, context: Context, *, passed_barrier: bool) -> web.StreamResponse:
        services, request, endpoint = self._services, context.request, context.endpoint
        route = endpoint.route
        if route.ability is Ability.PUBLIC and endpoint.level is None:
            if route.counted or endpoint.format is not None:
                await services.changes.barrier()
                await self._configure_limits()
                self._count(context)
            return await route.handler(context)
        # Who came in by a mount has passed the barrier to find it.
        if context.seen is None:
            context.seen = services.changes.position
            if not passed_barrier:
                await services.changes.barrier(write=request.method in _WRITES)
                context.seen = services.changes.position
        await self._admit(context)
        try:
            target = await resolve(services, endpoint, context.params, context.actor)
            if target is None:
                raise context.unknown()
            context.target = target
            context.require(route.ability, None if target.level is Level.INSTANCE else target.project or target.group)
        except RegistryError as refusal:
            if route.denied is None:
                raise
            return await route.denied(context, refusal)
        return await route.handler(context)

    async def _admit(self, context: Context) -> None:
        """Find out who asks, and count the request. Raises Unauthenticated, RateLimited."""
        services = self._services
        await self._configure_limits()
        try:
            await self._sign_in(context)
        finally:
            self._count(context)
        _check_packages(context, context.actor)
        if context.actor.is_user and context.actor.token_id is not None:
            services.usage.token_used(context.actor.token_id)
        if context.actor.kind == "deploy_token" and not context.endpoint.face.deploy_tokens:
            context.actor = ANONYMOUS

    async def _configure_limits(self) -> None:
        services = self._services
        if self._limits_as_of != services.changes.position:
            position = services.changes.position
            # While Postgres is away, what was chosen last goes on.
            with contextlib.suppress(Unavailable):
                self._limits.configure(await services.lookups.settings())
                self._limits_as_of = position

    def _count(self, context: Context) -> None:
        """Count the request as what is known of its caller by now. Raises RateLimited."""
        if self._limits.active:
            packages = context.endpoint.format is not None or context.endpoint.route.counted
            context.quota = self._limits.count(context.actor, context.address, packages=packages)

    async def _sign_in(self, context: Context) -> None:
        """Find out who asks. Raises Unauthenticated, RateLimited."""
        limits, shown = self._limits, secret(context.request)
        if limits.guessing:
            limits.check_secret(context.address, shown)
        try:
            context.actor = await authenticate(context.request, self._services.lookups, context.address)
        except Unauthenticated as error:
            # Who shows a token that once was good does not guess.
            if error.code:
                limits.signed_in(context.address, shown)
            else:
                limits.failed_sign_in(context.address, shown)
            raise
        except Forbidden:
            limits.signed_in(context.address, shown)
            raise
        if context.actor is STRANGER:
            limits.failed_sign_in(context.address, shown)
        elif shown and not context.actor.is_anonymous:
            limits.signed_in(context.address, shown)

    def _holds(self, request: web.Request, answer: _Answer) -> bool:
        """Nothing has changed since, anywhere: so nothing that this answer depends on has. Few tokens have networks."""
        if answer.seen != self._services.changes.position:
            return False
        actor = answer.actor
        if actor.networks and not actor.is_admitted_from(client_address(request, self._proxies)):
            return False
        return answer.valid_until is None or answer.valid_until > datetime.now(UTC)

    def _remember(self, key: tuple[object, ...], context: Context, response: Finished) -> None:
        if context.seen is None:
            return
        actor = context.actor
        # They keep documents alive that the cache has dropped, and their keys are as long as clients like.
        self._answers_size += _OVERHEAD + sum(len(part) for part in key if isinstance(part, str))
        self._answers_size += len(response.document.body)
        if len(self._answers) >= _REMEMBERED or self._answers_size > self._services.settings.document_cache_bytes:
            self._answers.clear()
            self._answers_size = 0
        # As of the barrier the request passed: what changed while it was served makes the answer doubtful.
        self._answers[key] = _Answer(
            seen=context.seen,
            valid_until=min(filter(None, (actor.valid_until, response.valid_until)), default=None),
            document=response.document,
            endpoint=context.endpoint,
            actor=actor,
            token_id=actor.token_id if actor.is_user else None,
            package_id=response.package_id,
        )

    def _observe(self, template: str, method: str, status: int, started: float) -> None:
        key = (template, method, status)
        observers = self._observers.get(key)
        if observers is None:
            observers = self._observers[key] = (
                metrics.requests.labels(template, method, status).inc,
                metrics.request_seconds.labels(template).observe,
            )
        count, observe = observers
        count()
        observe(time.perf_counter() - started)


def _check_packages(context: Context, actor: Actor) -> None:
    """Raise Forbidden where a token that is limited to some packages is used for anything else."""
    route, of = context.endpoint.route, context.endpoint.format
    if not actor.packages or route.own or route.ability in {Ability.PUBLIC, Ability.ITSELF}:
        return
    params = context.params
    name = params["name"] if "name" in params else params.get("spec", "").rpartition("@")[0] or None
    if of is None or name is None or not actor.is_for(of.package_type, of.normalize(name)):
        only = ", ".join(one.partition(":")[2] for one in actor.packages)
        raise Forbidden(f"403 Forbidden - This token is for {only} only.")


def _announce(response: web.StreamResponse, quota: Mapping[str, str]) -> None:
    """Put headers on an answer of which nothing was sent yet."""
    if isinstance(response, Finished):
        if quota:
            response.extra = "".join(f"{name}: {value}\r\n" for name, value in quota.items()).encode()
    elif not response.prepared:
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        # What says nothing about it may hold what only this caller is shown, whatever a cache in between is told.
        response.headers.setdefault("Cache-Control", "no-store")
        if "Location" in response.headers:
            # The address that was asked may hold a token.
            response.headers.setdefault("Referrer-Policy", "no-referrer")
        response.headers.update(quota)


def _key(request: web.Request) -> tuple[object, ...]:
    """Everything of a GET that an answer may depend on. If-None-Match is looked at for each request."""
    headers = request.headers
    return (
        request.raw_path,
        headers.get("Authorization"),
        headers.get("PRIVATE-TOKEN"),
        headers.get("Deploy-Token"),
        headers.get("JOB-TOKEN"),
        ",".join(headers.getall("Accept", ())),
        headers.get("Accept-Encoding"),
        headers.get("Range"),
    )


def _key_of_host(request: web.Request, key: tuple[object, ...]) -> tuple[object, ...]:
    """The same path is another one at another host, where there are mounts."""
    return (request.headers.get("Host"), *key)


async def confirm(context: Context, ability: Ability) -> None:
    """Ask again for what was allowed before the body was read: in that time a token may have been revoked.

    Raises what the caller is told without the ability. Renews the context's actor and target, settings included.
    """
    services = context.services
    await services.changes.barrier(write=True)
    context.actor = await authenticate(context.request, services.lookups, context.address)
    target = await resolve(services, context.endpoint, context.params, context.actor)
    if target is None:
        raise context.unknown()
    context.target = target
    context.require(ability, target.project or target.group)


async def resolve(services: Services, endpoint: Endpoint, params: Mapping[str, str], actor: Actor) -> Target | None:
    """What level and id mean, and what may be read there; None when there is no such project or group."""
    lookups = services.lookups
    if endpoint.level is Level.PROJECT:
        project = await lookups.project(params["id"])
        return Target(Level.PROJECT, project, None, (project.id,)) if project else None
    if endpoint.level is Level.GROUP:
        group = await lookups.group(params["id"])
    elif endpoint.format is not None and endpoint.format.namespace_of is not None:
        path = endpoint.format.namespace_of(params)
        group = await lookups.namespace(path) if path is not None and "/" not in path and not path.isdigit() else None
    else:
        return _NOWHERE
    if group is None:
        return None if endpoint.level is Level.GROUP else _NOWHERE
    return Target(endpoint.level or Level.INSTANCE, None, group, await lookups.readable_ids(actor, group))
