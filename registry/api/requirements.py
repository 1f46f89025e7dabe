"""Requirements: what a caller needs for a route, in words and as OpenAPI security, asked of the rule itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from registry.access import ANONYMOUS, Ability, AccessLevel, Actor, can, scope_allows
from registry.model import Group, Level, Project, Visibility
from registry.server.routes import Endpoint

SCHEMES: Mapping[str, Mapping[str, str]] = {
    "PrivateToken": {
        "type": "apiKey", "in": "header", "name": "PRIVATE-TOKEN",
        "description": "a personal, project or group access token",
    },
    "DeployToken": {
        "type": "apiKey", "in": "header", "name": "Deploy-Token", "description": "a deploy token, for packages only",
    },
    "Bearer": {"type": "http", "scheme": "bearer", "description": "any token: what npm sends as `_authToken`"},
    "Basic": {
        "type": "http", "scheme": "basic",
        "description": "any token as the password, with any user name: what pip and twine send",
    },
}  # fmt: skip

_USER_SCOPES = ("api", "read_api", "read_user")
_DEPLOY_SCOPES = ("read_package_registry", "write_package_registry")
_THEN = datetime(2000, 1, 1, tzinfo=UTC)


def is_open(endpoint: Endpoint) -> bool:
    """Whether credentials are not even looked at."""
    return endpoint.route.ability is Ability.PUBLIC and endpoint.level is None


def security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    """The credentials that do, `{}` for none."""
    if is_open(endpoint):
        return []
    schemes = [name for name in SCHEMES if name != "DeployToken" or _deploy_scopes(endpoint)]
    required: list[dict[str, list[str]]] = [{name: []} for name in schemes]
    return [{}, *required] if _may(ANONYMOUS, endpoint, "public") else required


def text(endpoint: Endpoint) -> str:
    """Who may, and with which scopes of a token."""
    if is_open(endpoint):
        return ""
    scopes = [scope for scope in _USER_SCOPES if _opens("user", scope, endpoint)] + _deploy_scopes(endpoint)
    return f"{_who(endpoint)} Scopes that do: {', '.join(f'`{scope}`' for scope in scopes)}."


def _who(endpoint: Endpoint) -> str:
    """The least role, found by asking the rule."""
    private, also = _place(endpoint, "private"), endpoint.route.also
    if also in {Ability.CREATE_PACKAGE, Ability.DESTROY_PACKAGE}:
        role = AccessLevel.DEVELOPER if also is Ability.CREATE_PACKAGE else AccessLevel.MAINTAINER
        return f"For {role.name.title()} and above in the project that has the package."
    everybody = "For everybody" if _may(ANONYMOUS, endpoint, "public") else "For everybody with credentials"
    if can(ANONYMOUS, endpoint.route.ability, private):
        return f"{everybody}; what is shown is what the caller may see."
    if private is None:
        return "For users." if _may(_member(endpoint, AccessLevel.NONE), endpoint) else "For administrators."
    role = next(level for level in AccessLevel if _may(_member(endpoint, level), endpoint, "private"))
    noun = "group" if isinstance(private, Group) else "project"
    if can(ANONYMOUS, endpoint.route.ability, _place(endpoint, "public")):
        return f"{everybody} where the {noun} is public, else for members: {role.name.title()} and above."
    return f"For {role.name.title()} of the {noun} and above."


def _may(actor: Actor, endpoint: Endpoint, visibility: Visibility = "private") -> bool:
    route = endpoint.route
    return can(actor, route.ability, _place(endpoint, visibility)) and (route.also is None or can(actor, route.also))


def _deploy_scopes(endpoint: Endpoint) -> list[str]:
    if not endpoint.face.deploy_tokens:
        return []
    return [scope for scope in _DEPLOY_SCOPES if _opens("deploy_token", scope, endpoint)]


def _opens(kind: Literal["user", "deploy_token"], scope: str, endpoint: Endpoint) -> bool:
    actor = Actor(kind=kind, id=1, scopes=frozenset({scope}))
    route = endpoint.route
    return scope_allows(actor, route.ability) and (route.also is None or scope_allows(actor, route.also))


def _member(endpoint: Endpoint, level: AccessLevel) -> Actor:
    """A user with this level where the route leads."""
    levels = {1: int(level)} if level else {}
    groups, projects = (levels, {}) if endpoint.level is Level.GROUP else ({}, levels)
    admin = level is AccessLevel.ADMIN
    return Actor(kind="user", id=1, scopes=frozenset({"api"}), admin=admin, groups=groups, projects=projects)


def _place(endpoint: Endpoint, visibility: Visibility) -> Project | Group | None:
    """A project or group as any other."""
    if endpoint.level is Level.GROUP:
        return Group(1, "group", None, (1,), "", "", "", "", visibility, _THEN)
    if endpoint.level is Level.PROJECT:
        return Project(1, 1, (), "", "", "", "", visibility, "enabled", archived=False, created_at=_THEN)
    return None
