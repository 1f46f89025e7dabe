"""Context: one request on its way through a handler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

from registry.access import Ability, Actor, can, scope_allows
from registry.db.instance import Author
from registry.db.mounts import MountRow
from registry.errors import Forbidden, NotFound, RegistryError, Unauthenticated
from registry.model import Group, Level, Project, Target
from registry.server.limits import Limits
from registry.server.routes import Endpoint, Format
from registry.services import Services


@dataclass(slots=True)
class Context:
    """What a handler gets: the request, who asks, what about, and the running parts.

    `seen` is the position in the change log that was known when the request passed the barrier, None when it passed
    none. `quota` are the headers that tell the caller how much is left of one of the `limits`. `mount` is where the
    request came in, when that is not below /api/v4.
    """

    request: web.Request
    services: Services
    endpoint: Endpoint
    params: Mapping[str, str]
    actor: Actor
    target: Target
    address: str | None
    limits: Limits
    seen: tuple[int, int] | None = None
    quota: Mapping[str, str] = field(default_factory=dict)
    mount: MountRow | None = None

    @property
    def author(self) -> Author:
        """Who the audit row of a change names."""
        return Author(self.actor, self.address)

    @property
    def format(self) -> Format:
        """The format whose route this is."""
        if self.endpoint.format is None:
            raise RuntimeError("only routes of a format have one")
        return self.endpoint.format

    @property
    def project(self) -> Project:
        """The project of a project-level route."""
        if self.target.project is None:
            raise NotFound(self.endpoint.face.project_text)
        return self.target.project

    @property
    def group(self) -> Group:
        """The group of a group-level route."""
        if self.target.group is None:
            raise NotFound(self.endpoint.face.group_text)
        return self.target.group

    @property
    def base_url(self) -> str:
        """The format's base at the level asked, with the numeric id: what URLs in documents start with.

        Below a mount it is the mount's own base, as it was configured: a Host header is compared, never repeated.
        """
        if self.mount is not None:
            return self.mount.base_url(self.services.settings.base_url)
        api, kind = self.services.api_url, self.format.package_type
        if self.target.project is not None:
            return f"{api}/projects/{self.target.project.id}/packages/{kind}"
        if self.target.group is not None and self.target.level is Level.GROUP:
            return f"{api}/groups/{self.target.group.id}/-/packages/{kind}"
        return f"{api}/packages/{kind}"

    @property
    def file_limit(self) -> int:
        """The largest file accepted here, in bytes: the instance's plan limit for the format."""
        limit = self.project.settings.get(f"{self.format.package_type}_max_file_size")
        return limit if isinstance(limit, int) else self.format.file_limit

    @property
    def trust(self) -> dict[str, object]:
        """What attestations are verified against here, as `registry.attestations.Trust` is carried to a child."""
        root = self.services.settings.trust_root
        identities = self.project.settings.get("attestation_identities")
        return {"root": str(root) if root else None, "identities": identities if isinstance(identities, list) else []}

    @property
    def cache_control(self) -> str:
        """For answers that change: always revalidated, and kept out of shared caches when credentials were used."""
        return "no-cache" if self.actor.is_anonymous else "private, no-cache"

    def require(self, ability: Ability, place: Project | Group | None) -> None:
        """Raise what this face says to an actor who lacks an ability."""
        refusal = self.refusal(ability, place)
        if refusal is not None:
            raise refusal

    def refusal(self, ability: Ability, place: Project | Group | None) -> RegistryError | None:
        """What to tell an actor who lacks an ability; None when the actor has it (contract 2.3)."""
        actor, face = self.actor, self.endpoint.face
        if can(actor, ability, place):
            return None
        if not scope_allows(actor, ability):
            return _insufficient_scope()
        if place is not None and not self._sees(place):
            return self._absent(place, face.hidden)
        if actor.is_anonymous:
            return Unauthenticated() if place is None else face.lacking()
        return Forbidden()

    def unknown(self) -> RegistryError:
        """What to tell an actor about a project or group that does not exist: no more than about one that does."""
        if not scope_allows(self.actor, self.endpoint.route.ability):
            return _insufficient_scope()
        return self._absent(self.endpoint.level, self.endpoint.face.unknown)

    def _sees(self, place: Project | Group) -> bool:
        sees = Ability.READ_GROUP if isinstance(place, Group) else Ability.READ_PROJECT
        return can(self.actor, sees, place) or can(self.actor, Ability.READ_PACKAGE, place)

    def _absent(self, place: Project | Group | Level | None, anonymous: type[RegistryError]) -> RegistryError:
        if self.actor.is_anonymous and not issubclass(anonymous, NotFound):
            return anonymous()
        about_group = place is Level.GROUP or isinstance(place, Group)
        return NotFound(self.endpoint.face.group_text if about_group else self.endpoint.face.project_text)


def _insufficient_scope() -> Forbidden:
    return Forbidden(
        "The request requires higher privileges than provided by the access token.", code="insufficient_scope"
    )
