"""Entities: how the management API shows users, groups, projects, members and tokens (GitLab's field names)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from registry.access import Actor
from registry.db.listings import GroupDetails, Member, ProjectDetails, UserDetails
from registry.db.tokens import AccessToken, DeployTokenDetails

Entity = dict[str, object]


def timestamp(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with milliseconds, as GitLab writes it."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def user_basic(user: UserDetails, base_url: str) -> Entity:
    """What lists show to everybody."""
    return _person(user.id, user.username, user.name, user.state, base_url)


def user(user: UserDetails, base_url: str) -> Entity:
    """What everybody may see of one user."""
    return {**user_basic(user, base_url), "created_at": timestamp(user.created_at), "bot": user.kind != "human"}


def user_private(user_: UserDetails, base_url: str) -> Entity:
    """What users see of themselves."""
    human = user_.kind == "human"
    return {
        **user(user_, base_url),
        "email": user_.email,
        "commit_email": user_.email,
        "public_email": None,
        "namespace_id": user_.namespace_id,
        "external": False,
        "private_profile": False,
        "two_factor_enabled": False,
        "can_create_group": human,
        "can_create_project": human,
        "confirmed_at": timestamp(user_.created_at),
    }


def user_for_admin(user_: UserDetails, base_url: str) -> Entity:
    """What administrators see."""
    return {**user_private(user_, base_url), "is_admin": user_.admin}


def group(one: GroupDetails, base_url: str) -> Entity:
    """A group; the forwarding and validation settings are those in force in it."""
    return {
        "id": one.id,
        "web_url": f"{base_url}/groups/{one.full_path}",
        "name": one.name,
        "path": one.path,
        "description": one.description,
        "visibility": one.visibility,
        "request_access_enabled": False,
        "project_creation_level": "developer",
        "subgroup_creation_level": "maintainer",
        "avatar_url": None,
        "full_name": one.full_name,
        "full_path": one.full_path,
        "created_at": timestamp(one.created_at),
        "parent_id": one.parent_id,
    }


def project_simple(one: ProjectDetails, base_url: str) -> Entity:
    """What `simple=true` and anonymous lists show."""
    return {
        "id": one.id,
        "description": one.description,
        "name": one.name,
        "name_with_namespace": f"{one.namespace_full_name} / {one.name}",
        "path": one.path,
        "path_with_namespace": one.full_path,
        "created_at": timestamp(one.created_at),
        "default_branch": "main",
        "tag_list": [],
        "topics": [],
        "web_url": f"{base_url}/{one.full_path}",
        "avatar_url": None,
        "star_count": 0,
        "forks_count": 0,
        "last_activity_at": timestamp(one.last_activity_at),
        "visibility": one.visibility,
        "namespace": _namespace(one, base_url),
    }


def project(one: ProjectDetails, actor: Actor, base_url: str) -> Entity:
    """A project, with what the actor may do in it."""
    api = f"{base_url}/api/v4/projects/{one.id}"
    return {
        **project_simple(one, base_url),
        "_links": {"self": api, "members": f"{api}/members"},
        "packages_enabled": one.package_registry_access_level != "disabled",
        "package_registry_access_level": one.package_registry_access_level,
        "empty_repo": True,
        "archived": one.archived,
        "creator_id": one.creator_id,
        "permissions": permissions(one, actor),
    }


def permissions(one: ProjectDetails, actor: Actor) -> Entity:
    """The actor's memberships that reach a project: its own, and the highest of those above."""
    direct = actor.projects.get(one.id)
    above = max((actor.groups.get(group, 0) for group in one.ancestry), default=0)
    return {"project_access": _access(direct), "group_access": _access(above or None)}


def member(one: Member, base_url: str) -> Entity:
    """A member of a group or project."""
    entity = {
        **_person(one.user_id, one.username, one.name, one.state, base_url),
        "access_level": one.access_level,
        "created_at": timestamp(one.created_at),
        "expires_at": one.expires_at,
        "membership_state": "active",
    }
    if one.created_by_id is not None:
        entity["created_by"] = _person(
            one.created_by_id,
            one.created_by_username or "",
            one.created_by_name or "",
            one.created_by_state or "",
            base_url,
        )
    return entity


def access_token(one: AccessToken) -> Entity:
    """A personal access token, without its text."""
    return {
        "id": one.id,
        "name": one.name,
        "revoked": one.revoked,
        "created_at": timestamp(one.created_at),
        "description": one.description,
        "scopes": one.scopes,
        "user_id": one.user_id,
        "last_used_at": timestamp(one.last_used_at),
        "active": one.active,
        "expires_at": one.expires_at,
    }


def bot_token(one: AccessToken, noun: str, home_id: int) -> Entity:
    """An access token of a project or group, without its text."""
    return {
        **access_token(one),
        "access_level": one.access_level,
        "resource_type": noun,
        "resource_id": home_id,
    }


def deploy_token(one: DeployTokenDetails) -> Entity:
    """A deploy token, without its text."""
    return {
        "id": one.id,
        "name": one.name,
        "username": one.username,
        "expires_at": timestamp(one.expires_at),
        "scopes": one.scopes,
        "revoked": one.revoked,
        "expired": one.expired,
    }


def _person(user_id: int, username: str, name: str, state: str, base_url: str) -> Entity:
    return {
        "id": user_id,
        "username": username,
        "public_email": None,
        "name": name,
        "state": state,
        "locked": False,
        "avatar_url": None,
        "web_url": f"{base_url}/{username}",
    }


def _namespace(one: ProjectDetails, base_url: str) -> Entity:
    prefix = "groups/" if one.namespace_kind == "group" else ""
    return {
        "id": one.namespace_id,
        "name": one.namespace_name,
        "path": one.namespace_path,
        "kind": one.namespace_kind,
        "full_path": one.namespace_full_path,
        "parent_id": one.namespace_parent_id,
        "avatar_url": None,
        "web_url": f"{base_url}/{prefix}{one.namespace_full_path}",
    }


def _access(level: int | None) -> Mapping[str, int] | None:
    return None if level is None else {"access_level": level, "notification_level": 3}
