"""Access: who asks (Actor), what they want (Ability), and the pure rule `can` that connects them.

The table of who may do what is GitLab's (docs: permissions, package registry; policies of 17.x and 18.x).
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from types import MappingProxyType
from typing import Literal

from registry.model import Group, Project

_NOTHING: Mapping[int, int] = MappingProxyType({})


def _nowhere() -> Mapping[int, int]:
    return _NOTHING


class AccessLevel(enum.IntEnum):
    """Role of a member, inherited down the tree of groups. ADMIN is no membership, it ranks above all of them."""

    NONE = 0
    GUEST = 10
    PLANNER = 15
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50
    ADMIN = 60


class Ability(enum.Enum):
    """What a route asks for. PUBLIC is an ability like any other: it has to be written down.

    ANYONE differs from PUBLIC in that credentials, where there are some, are looked at. ITSELF is a token asking
    about itself, whatever its scopes. INSPECT is the reading half of MAINTAIN (and ADMIN_INSTANCE), OVERSEE that of
    ADMIN: `read_api` reaches them.
    """

    PUBLIC = "public"
    ANYONE = "anyone"
    SIGNED_IN = "signed_in"
    ITSELF = "itself"
    READ_USER = "read_user"
    READ_API = "read_api"
    USE_API = "use_api"
    INSPECT_INSTANCE = "inspect_instance"
    ADMIN_INSTANCE = "admin_instance"
    READ_GROUP = "read_group"
    CREATE_IN_GROUP = "create_in_group"
    INSPECT_GROUP = "inspect_group"
    MAINTAIN_GROUP = "maintain_group"
    OVERSEE_GROUP = "oversee_group"
    ADMIN_GROUP = "admin_group"
    READ_PROJECT = "read_project"
    INSPECT_PROJECT = "inspect_project"
    MAINTAIN_PROJECT = "maintain_project"
    ADMIN_PROJECT = "admin_project"
    READ_PACKAGE = "read_package"
    CREATE_PACKAGE = "create_package"
    DESTROY_PACKAGE = "destroy_package"


READS = frozenset({
    Ability.PUBLIC,
    Ability.ANYONE,
    Ability.SIGNED_IN,
    Ability.READ_USER,
    Ability.READ_API,
    Ability.INSPECT_INSTANCE,
    Ability.READ_GROUP,
    Ability.INSPECT_GROUP,
    Ability.OVERSEE_GROUP,
    Ability.READ_PROJECT,
    Ability.INSPECT_PROJECT,
    Ability.READ_PACKAGE,
})  # fmt: skip

# What each token scope opens (GitLab: personal access token scopes, deploy token scopes).
_SCOPES: Mapping[str, frozenset[Ability]] = {
    "api": frozenset(Ability),
    "read_api": READS,
    "read_user": frozenset({Ability.PUBLIC, Ability.READ_USER}),
    "read_package_registry": frozenset({Ability.PUBLIC, Ability.SIGNED_IN, Ability.READ_PACKAGE, Ability.READ_PROJECT}),
    "write_package_registry": frozenset(
        {
            Ability.PUBLIC,
            Ability.SIGNED_IN,
            Ability.READ_PACKAGE,
            Ability.READ_PROJECT,
            Ability.CREATE_PACKAGE,
            Ability.DESTROY_PACKAGE,
        }
    ),
}
TOKEN_SCOPES = ("api", "read_api", "read_user", "create_runner", "read_repository", "write_repository",
                "read_registry", "write_registry", "ai_features", "k8s_proxy", "sudo", "admin_mode")  # fmt: skip
DEPLOY_TOKEN_SCOPES = ("read_package_registry", "write_package_registry", "read_repository", "read_registry",
                       "write_registry", "read_virtual_registry", "write_virtual_registry")  # fmt: skip

_LEVELS = {
    Ability.READ_PROJECT: AccessLevel.GUEST,
    Ability.READ_PACKAGE: AccessLevel.GUEST,
    Ability.CREATE_PACKAGE: AccessLevel.DEVELOPER,
    Ability.DESTROY_PACKAGE: AccessLevel.MAINTAINER,
    Ability.INSPECT_PROJECT: AccessLevel.MAINTAINER,
    Ability.MAINTAIN_PROJECT: AccessLevel.MAINTAINER,
    Ability.ADMIN_PROJECT: AccessLevel.OWNER,
    Ability.READ_GROUP: AccessLevel.GUEST,
    Ability.CREATE_IN_GROUP: AccessLevel.DEVELOPER,
    Ability.INSPECT_GROUP: AccessLevel.MAINTAINER,
    Ability.MAINTAIN_GROUP: AccessLevel.MAINTAINER,
    Ability.OVERSEE_GROUP: AccessLevel.OWNER,
    Ability.ADMIN_GROUP: AccessLevel.OWNER,
}


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """Who is asking. Compared by identity: a change of rights makes a new one.

    `groups` and `projects` map ids to access levels; `sees_groups` are the groups above any of them. A deploy token
    has one home, `home_group` or `home_project`.
    `valid_until` is when a token or a membership that was counted here ends, whichever comes first.

    A token may be limited: to requests from some `networks`, and to some `packages`, each written `type:name` or
    `type:@scope/*`. Empty means no such limit.
    """

    kind: Literal["anonymous", "user", "deploy_token", "system"] = "anonymous"
    id: int | None = None
    username: str = ""
    name: str = ""
    admin: bool = False
    scopes: frozenset[str] = frozenset()
    token_id: int | None = None
    groups: Mapping[int, int] = field(default_factory=_nowhere)
    projects: Mapping[int, int] = field(default_factory=_nowhere)
    sees_groups: frozenset[int] = frozenset()
    home_group: int | None = None
    home_project: int | None = None
    valid_until: datetime | None = None
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    packages: tuple[str, ...] = ()

    @property
    def is_anonymous(self) -> bool:
        """No credentials, or credentials that say nothing (contract 2.2)."""
        return self.kind == "anonymous"

    def is_admitted_from(self, address: str | None) -> bool:
        """Whether the token is good for requests from an address; one that is not known is nowhere."""
        if not self.networks:
            return True
        try:
            where = ip_address(address or "")
        except ValueError:
            return False
        return any(where in network for network in self.networks)

    def is_for(self, package_type: str, name: str) -> bool:
        """Whether the token opens a package of this name, as its format compares names."""
        whole = f"{package_type}:{name}"
        return not self.packages or whole in self.packages or f"{whole.partition('/')[0]}/*" in self.packages

    @property
    def is_user(self) -> bool:
        """A person or a bot, not a deploy token."""
        return self.kind == "user"


ANONYMOUS = Actor()
# The operator at the command line, and the server itself: named in audit rows, never the actor of a request.
SYSTEM = Actor(kind="system", name="System", admin=True, scopes=frozenset({"api"}))


def scope_allows(actor: Actor, ability: Ability) -> bool:
    """Whether the token's scopes reach the ability at all; without it the answer is `insufficient_scope`."""
    if actor.is_anonymous or (ability is Ability.ITSELF and actor.is_user):
        return True
    return any(ability in _SCOPES.get(scope, ()) for scope in actor.scopes)


def scopes_cover(held: Collection[str], wanted: Iterable[str]) -> bool:
    """Whether a token with the scopes `wanted` reaches nothing that one with those `held` does not."""
    reached = frozenset[Ability]().union(*(_SCOPES.get(scope, frozenset()) for scope in held))
    return all(scope in held or (scope in _SCOPES and _SCOPES[scope] <= reached) for scope in wanted)


def level_in(actor: Actor, place: Project | Group) -> int:
    """The actor's access level: the highest of its memberships here and above."""
    if actor.admin:
        return AccessLevel.ADMIN
    level = actor.projects.get(place.id, 0) if isinstance(place, Project) else 0
    groups = actor.groups
    if groups:
        for ancestor in place.ancestry:
            level = max(level, groups.get(ancestor, 0))
    return level


def can(actor: Actor, ability: Ability, place: Project | Group | None = None) -> bool:
    """The rule. `place` is the project or group the ability is about, None for the instance."""
    if not scope_allows(actor, ability):
        return False
    if ability in {Ability.PUBLIC, Ability.ANYONE}:
        return True
    if ability is Ability.SIGNED_IN:
        return not actor.is_anonymous
    if ability in {Ability.READ_USER, Ability.READ_API, Ability.USE_API, Ability.ITSELF}:
        return actor.is_user
    if ability in {Ability.INSPECT_INSTANCE, Ability.ADMIN_INSTANCE}:
        return actor.admin
    if isinstance(place, Project):
        return _can_in_project(actor, ability, place)
    if isinstance(place, Group):
        return _can_in_group(actor, ability, place)
    # At instance level what can be read is decided project by project.
    return ability is Ability.READ_PACKAGE


def _can_in_project(actor: Actor, ability: Ability, project: Project) -> bool:
    if ability in {Ability.READ_PACKAGE, Ability.CREATE_PACKAGE, Ability.DESTROY_PACKAGE}:
        registry = project.package_registry_access_level
        if registry == "disabled":
            return False
        # "Allow anyone to pull from the package registry" (GitLab, package_registry_access_level: public), unless the
        # instance does not offer it.
        offered = project.settings.get("package_registry_allow_anyone_to_pull_option") is not False
        if registry == "public" and offered and ability is Ability.READ_PACKAGE:
            return True
        if registry == "private" and ability is Ability.READ_PACKAGE:
            return _is_home(actor, project) or level_in(actor, project) >= AccessLevel.GUEST
        if project.archived and ability is Ability.CREATE_PACKAGE:
            return False
    if ability in {Ability.READ_PACKAGE, Ability.READ_PROJECT} and _is_visible(actor, project):
        return True
    if actor.kind == "deploy_token":
        # Its scopes were checked; what remains is whether the project is inside its home.
        return _is_home(actor, project)
    return level_in(actor, project) >= _LEVELS[ability]


def _can_in_group(actor: Actor, ability: Ability, group: Group) -> bool:
    if ability in {Ability.READ_GROUP, Ability.READ_PACKAGE}:
        if _is_visible(actor, group) or _is_home(actor, group):
            return True
        # A member of something inside sees the groups above it; what is in them is checked project by project.
        if group.id in actor.sees_groups:
            return True
    return level_in(actor, group) >= _LEVELS[ability]


def _is_home(actor: Actor, place: Project | Group) -> bool:
    """Whether a deploy token was made for this place or for a group above it."""
    if isinstance(place, Project) and actor.home_project == place.id:
        return True
    return actor.home_group is not None and actor.home_group in place.ancestry


def _is_visible(actor: Actor, place: Project | Group) -> bool:
    return place.visibility == "public" or (place.visibility == "internal" and actor.is_user)
