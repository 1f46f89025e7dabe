"""Finding a name: what is here, what is hidden, and what the public registry may be asked for (contract 4.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiohttp import web

from registry.errors import Forbidden, Invalid, NotFound, RegistryError, Unauthenticated
from registry.formats.npm import face, names
from registry.formats.npm.names import Name
from registry.lookups import Serials
from registry.model import Level
from registry.server.context import Context
from registry.upstream import PUBLIC, forwards

# What may follow a name in a Location: a version or a dist-tag, which encodeURIComponent leaves alone but for its `+`.
_VERSION_OR_TAG = re.compile(r"[A-Za-z0-9._~!*'()+-]+")


def asked_name(context: Context) -> Name:
    """The name in the path. Raises Invalid with GitLab's words for a traversal."""
    text = context.params["name"]
    if ".." in text.split("/") or "\\" in text:
        raise Invalid(face.BAD_NAME)
    return names.parse(text)


def namespace_of(params: Mapping[str, str]) -> str | None:
    """At instance level `@foo/bar` is looked up in the top-level namespace `foo`; unscoped names are nobody's."""
    text = params.get("name") or params.get("spec", "")
    scope, slash, _ = text.partition("/")
    return scope[1:] if slash and scope.startswith("@") else None


async def find(context: Context, name: Name) -> Serials:
    """Where the name is among what the caller may read. Raises what to say when it is nowhere there."""
    serials = await context.services.lookups.serials("npm", name.text, context.target.projects)
    if not serials.exists:
        raise await _absence(context, name)
    return serials


async def _absence(context: Context, name: Name) -> RegistryError:
    """Absent, or hidden: below a group, and for the instance, GitLab tells the two apart (contract 4.5, 7)."""
    everywhere = await _everywhere(context)
    serials = await context.services.lookups.serials("npm", name.text, everywhere)
    if serials.exists and context.target.level is not Level.PROJECT:
        return Unauthenticated() if context.actor.is_anonymous else Forbidden()
    return NotFound("404 Packages Not Found")


async def forward(context: Context, name: Name, refusal: RegistryError) -> web.StreamResponse:
    """Send the client to the public registry for a name that this level does not know; else raise the refusal.

    Never for a name that is or was here, nor for a scope that anything here has, whoever asks.
    """
    version = context.params.get("version")
    place = context.target.project or (context.target.group if context.target.level is Level.GROUP else None)
    if not forwards("npm", place, await context.services.lookups.settings()) or await _is_ours(context, name):
        raise refusal
    if version is not None and not _VERSION_OR_TAG.fullmatch(version):
        raise refusal
    path = name.text if version is None else f"{name.text}/{version}"
    return web.Response(
        status=302,
        text="This resource has been moved temporarily to the public registry",
        headers={"Location": f"{PUBLIC['npm']}/{path}", "Cache-Control": "no-store"},
    )


async def forward_denied(context: Context, refusal: RegistryError) -> web.StreamResponse:
    """GitLab forwards unknown names before it authorises, even for unknown projects, but not below hidden groups."""
    if context.endpoint.level is Level.GROUP or refusal.status == 403:
        raise refusal
    return await forward(context, asked_name(context), refusal)


async def _is_ours(context: Context, name: Name) -> bool:
    lookups, target = context.services.lookups, context.target
    everywhere, root = await _everywhere(context), _root_path(context, name)
    if (await lookups.serials("npm", name.text, everywhere)).known:
        return True
    if await lookups.is_retired("npm", name.text, root):
        return True
    if name.scope is None:
        return False
    if target.level is Level.INSTANCE and target.group is not None:
        return True
    place = target.project or target.group
    if place is not None and place.root_path == name.scope.lower():
        return True
    prefix = f"@{name.scope}/"
    return await lookups.has_prefix("npm", prefix, everywhere) or await lookups.is_retired_prefix("npm", prefix, root)


def _root_path(context: Context, name: Name) -> str | None:
    """The top-level namespace that is asked; None for a project that is gone, whose namespace nobody knows.

    At instance level unscoped names are nobody's, so no namespace is asked: the empty path.
    """
    place = context.target.project or context.target.group
    if place is not None:
        return place.root_path
    return (name.scope or "").lower() if context.endpoint.level is Level.INSTANCE else None


async def _everywhere(context: Context) -> tuple[int, ...]:
    """The projects of the level, whether the caller may read them or not."""
    if context.target.group is None:
        return context.target.projects
    return tuple(project.id for project in await context.services.lookups.below(context.target.group))
