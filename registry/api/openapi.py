"""The OpenAPI document (3.1), made of the route table: what is not there is not here, and the other way round."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from registry import __version__, triggers
from registry.api import requirements
from registry.api.pagination import PAGE
from registry.model import Level
from registry.server import content, stages
from registry.server.content import JSON, Content
from registry.server.limits import QUOTA_HEADERS
from registry.server.parameters import Parameter
from registry.server.routes import Endpoint, Handler

Json = dict[str, object]

OPERATIONS = "Operations"
_FORM = "application/x-www-form-urlencoded"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")

_DESCRIPTION = """\
A package registry for PyPI and npm that speaks GitLab's package APIs, and as much of GitLab's management API as belongs
to packages.

A project or group is addressed by its number or by its full path with encoded slashes (`group%2Fproject`). `HEAD` is
answered wherever `GET` is, and a slash at the end of a path changes nothing. Every answer is as fresh as the moment
the request arrived.

An administrator may mount a project or group at a host name or a path of its own (`/api/v4/mounts`). There the routes
of its packages stand without their `/api/v4/...` base: `/simple/`, `/legacy/` for uploads, `/{name}`, `/-/...`.

Who may not see something is told that it does not exist."""

# What stands in the paths of the management API, and of what belongs to no format's base.
_PATHS: Mapping[str, Parameter] = {
    one.name: one
    for one in (
        Parameter("user_id", "integer", "number of a user"),
        Parameter("token_id", "integer", "number of a token"),
        Parameter("package_id", "integer", "number of a package"),
        Parameter("package_file_id", "integer", "number of a file of the package"),
        Parameter("package_protection_rule_id", "integer", "number of a protection rule"),
        Parameter("grant_id", "integer", "number of a reserved prefix"),
        stages.PATH,
        Parameter("staged_file_id", "integer", "number of a file of the stage"),
        Parameter("hook_id", "integer", "number of a hook"),
        Parameter("hook_event_id", "integer", "number of something a hook was told"),
        Parameter("trigger", description="what a hook is told", values=triggers.NAMES),
        Parameter("mount_id", "integer", "number of a mount"),
        Parameter("audit_event_id", "integer", "number of an audit event"),
        Parameter("secret", description="what was answered when the sign-in began"),
    )
}

_MEANINGS: Mapping[int, str] = {
    206: "the range of bytes that was asked for",
    302: "it is elsewhere: in the object store, or at the public registry",
    304: "the client has it already",
    307: "the public registry is to be asked",
    400: "a rule is broken, and the text says which",
    401: "there are no credentials, or none that are good",
    403: "the credentials do not reach this",
    404: "it does not exist, or the caller may not see it",
    405: "this cannot be done here",
    406: "the page does not come as any of the media types that are accepted",
    409: "something else was there first",
    410: "this was offered once, and is not any more",
    412: "it has changed since",
    413: "the body is too large",
    415: "the body has an encoding that is not read here",
    416: "the file has no such bytes",
    422: "a rule is broken, and the text says which",
    429: "the caller asks too often, or too much is being done at once",
    503: "a part that this depends on is away for the moment",
    507: "the object store is full",
}
_HEADERS: Mapping[int, tuple[str, ...]] = {
    200: ("ETag",),
    302: ("Location",),
    304: ("ETag",),
    307: ("Location",),
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After", *QUOTA_HEADERS),
    503: ("Retry-After",),
}
_PAGE_HEADERS = ("Link", "X-Page", "X-Per-Page", "X-Next-Page", "X-Prev-Page", "X-Total", "X-Total-Pages")
_HEADER_TEXTS: Mapping[str, str] = {
    "Allow": "the methods that there are",
    "ETag": "what to send as If-None-Match",
    "Link": "the other pages of a list (RFC 8288)",
    "Location": "where it is",
    "Retry-After": "seconds until it makes sense to come back",
    "WWW-Authenticate": "how to sign in",
    "X-Total": "how many there are, unless there are more than 10,000",
    "X-Total-Pages": "number of pages, unless there are more than 10,000 rows",
    "X-Page": "number of this page",
    "X-Per-Page": "rows of a page",
    "X-Next-Page": "number of the next page, if there is one",
    "X-Prev-Page": "number of the page before, if there is one",
    **QUOTA_HEADERS,
}


def document(endpoints: Iterable[Endpoint], base_url: str) -> Json:
    """The document about mounted routes, at the URL that stands in front of all of them."""
    components = _Components()
    paths: dict[str, Json] = {}
    tags: dict[str, Json] = {}
    groups: dict[str, list[str]] = {"Packages": [], "Management": [], OPERATIONS: []}
    for endpoint in endpoints:
        group, tag, text = _tag(endpoint)
        if tag not in tags:
            tags[tag] = {"name": tag, "description": text}
            groups[group].append(tag)
        path = _PARAMETER.sub(r"{\1}", endpoint.template)
        paths.setdefault(path, {})[endpoint.route.method.lower()] = _operation(endpoint, tag, path, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Package registry", "version": __version__, "description": _DESCRIPTION},
        "servers": [{"url": base_url}],
        "tags": [tags[tag] for group in groups.values() for tag in group],
        "x-tagGroups": [{"name": group, "tags": found} for group, found in groups.items() if found],
        "paths": paths,
        "components": components.json(),
    }


class _Components:
    """The schemas and error responses that operations refer to, found while these are described."""

    def __init__(self) -> None:
        self._schemas: Json = {}
        self._responses: Json = {}

    def json(self) -> Json:
        """All of them, in alphabetical order, with what never differs."""
        return {
            "securitySchemes": requirements.SCHEMES,
            "headers": {
                name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADER_TEXTS.items()
            },
            "responses": dict(sorted(self._responses.items())),
            "schemas": dict(sorted(self._schemas.items())),
        }

    def schema(self, value: object) -> object:
        """A schema without content in it: what has a name is kept here and referred to."""
        if isinstance(value, Content):
            if not value.name:
                return self.schema(value.schema)
            if value.name not in self._schemas:
                self._schemas[value.name] = {}
                self._schemas[value.name] = self.schema(value.schema)
            return {"$ref": f"#/components/schemas/{value.name}"}
        if isinstance(value, Mapping):
            return {key: self.schema(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.schema(one) for one in value]
        return value

    def media(self, body: Content) -> Json:
        """A body by media type; only JSON and forms have the schema, the others are text or bytes."""
        media_types: Json = {}
        for media_type in body.media_types:
            described = media_type == body.media_types[0] or media_type.endswith(("json", "form-data"))
            media_types[media_type] = {"schema": self.schema(body) if described else {"type": "string"}}
        return media_types

    def response(self, status: int, body: Content | None, headers: tuple[str, ...] = ()) -> Json:
        """A response in full."""
        phrase = HTTPStatus(status).phrase
        described: Json = {"description": f"{phrase}: {_MEANINGS[status]}" if status in _MEANINGS else phrase}
        if headers:
            described["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
        if body is not None:
            described["content"] = self.media(body)
        return described

    def error(self, status: int, body: Content) -> Json:
        """A reference to the response that every route of a face gives with this status."""
        name = f"{body.name}{status}"
        if name not in self._responses:
            self._responses[name] = self.response(status, body, _HEADERS.get(status, ()))
        return {"$ref": f"#/components/responses/{name}"}


def _operation(endpoint: Endpoint, tag: str, path: str, components: _Components) -> Json:
    route = endpoint.route
    summary, description = words(route.handler)
    operation: Json = {
        "operationId": _identifier(route.method, path),
        "tags": [tag],
        "summary": summary,
        "description": "\n\n".join(filter(None, (description, requirements.text(endpoint)))),
        "security": requirements.security(endpoint),
    }
    parameters = _parameters(endpoint, components)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": components.media(route.body)}
    elif route.method in _WITH_BODY and route.parameters:
        operation["requestBody"] = _form(route.parameters)
    operation["responses"] = _responses(endpoint, components)
    return operation


def words(handler: Handler) -> tuple[str, str]:
    """Summary and description: the first sentence of a handler's docstring, and the rest of it."""
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(handler) or "")
    summary, _, rest = re.sub(r"([.:])\s+", r"\1\0", text, count=1).partition("\0")
    return summary.rstrip(".:"), rest[:1].upper() + rest[1:]


def _tag(endpoint: Endpoint) -> tuple[str, str, str]:
    """Where an operation is filed: group, tag, and what the tag is about."""
    package, _, module = endpoint.route.handler.__module__.rpartition(".")
    if endpoint.format is not None:
        named = endpoint.format.title or endpoint.format.package_type
        return "Packages", named, _about(package)
    if not endpoint.template.startswith("/api/v4/"):
        return OPERATIONS, OPERATIONS, "Health, metrics, and this description."
    return "Management", module.replace("_", " ").capitalize(), _about(f"{package}.{module}")


def _about(module: str) -> str:
    """The first sentence of a module's docstring, without the name that it may begin with."""
    sentence = (sys.modules[module].__doc__ or "").partition("\n")[0].partition(". ")[0].rstrip(".")
    text = re.sub(r"^\w+: ", "", sentence)
    return f"{text[:1].upper()}{text[1:]}."


def _identifier(method: str, path: str) -> str:
    named = re.sub(r"\W+", "_", path.removeprefix("/api/v4").replace("+", "plus_")).strip("_")
    return f"{method.lower()}_{named or 'root'}"


def _parameters(endpoint: Endpoint, components: _Components) -> list[Json]:
    route = endpoint.route
    found: list[Json] = []
    for name in _PARAMETER.findall(endpoint.template):
        one = _path_parameter(endpoint, name)
        found.append(_parameter(one, "path", {**content.parameter(one), "minLength": 1}, components))
    if route.method not in _WITH_BODY:
        found += [
            _parameter(one, "query", {**content.parameter(one, null=False)}, components) for one in route.parameters
        ]
    found += [_parameter(one, "header", dict(content.parameter(one)), components) for one in route.headers]
    return found


def _parameter(one: Parameter, place: str, schema: Json, components: _Components) -> Json:
    described: Json = {"name": one.name, "in": place, "description": schema.pop("description", "")}
    if place == "path" or one.required:
        described["required"] = True
    if schema.get("type") == "array":
        described |= {"style": "form", "explode": False}
    if schema.get("type") == "integer":
        schema.pop("minLength", None)
    return {**described, "schema": components.schema(schema)}


def _path_parameter(endpoint: Endpoint, name: str) -> Parameter:
    if name == "id":
        noun = "group" if endpoint.level is Level.GROUP else "project"
        return Parameter(name, description=f"number of a {noun}, or its full path with encoded slashes")
    known = {one.name: one for one in endpoint.format.path_parameters} if endpoint.format is not None else _PATHS
    return known.get(name, Parameter(name))


def _form(parameters: tuple[Parameter, ...]) -> Json:
    """Parameters of a body, which may be JSON or a form."""
    schema = {
        "type": "object",
        "properties": {one.name: content.parameter(one) for one in parameters},
        "required": [one.name for one in parameters if one.required],
    }
    lists = [one.name for one in parameters if one.kind in {"strings", "integers"}]
    form: Json = {"schema": schema}
    if lists:
        form["encoding"] = {name: {"style": "form", "explode": False} for name in lists}
    return {"required": bool(schema["required"]), "content": {JSON: {"schema": schema}, _FORM: form}}


def _responses(endpoint: Endpoint, components: _Components) -> Json:
    route = endpoint.route
    answers = dict(route.answers)
    if route.method == "DELETE" and not any(status < HTTPStatus.BAD_REQUEST for status in answers):
        answers[HTTPStatus.NO_CONTENT] = None
    paged = set(PAGE) <= set(route.parameters)
    found: dict[int, Json] = {}
    for status in sorted({*answers, *_usual(endpoint)}):
        body = answers.get(status)
        if status >= HTTPStatus.BAD_REQUEST and body is None and status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            found[status] = components.error(status, endpoint.face.errors)
        elif status == HTTPStatus.OK:
            headers = _PAGE_HEADERS if paged else _HEADERS[status] if HTTPStatus.NOT_MODIFIED in answers else ()
            found[status] = components.response(status, body, headers)
        else:
            found[status] = components.response(status, body, _HEADERS.get(status, ()) if body is None else ())
    return {str(status): response for status, response in found.items()}


def _usual(endpoint: Endpoint) -> set[int]:
    """The refusals that every route of this kind may give."""
    route = endpoint.route
    if requirements.is_open(endpoint) and "{" not in endpoint.template:
        return set()
    found = {401, 403, 429, 503}
    if "{" in endpoint.template:
        found |= {400, 404}
    if route.parameters or route.body is not None:
        found.add(400)
        if route.method in _WITH_BODY:
            found |= {413, 415}
    if any(one.name == "pagination" for one in route.parameters):
        # Keyset pages in an order that they do not have, or pages by number that are too far away.
        found.add(405)
    return found
