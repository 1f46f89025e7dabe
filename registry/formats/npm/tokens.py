"""Tokens: `npm token list`, `create` and `revoke`, on the caller's personal access tokens (npm.md, A.7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from aiohttp import web

from registry import derived_tokens
from registry.accounts import PERSONAL_ACCESS_TOKEN, digest
from registry.db import tokens
from registry.db.accounts import PersonalAccessToken
from registry.db.tokens import OwnToken
from registry.derived_tokens import Wanted
from registry.errors import Invalid, NotFound
from registry.formats.npm import names
from registry.formats.npm.packument import iso
from registry.server import bodies, responses
from registry.server.context import Context

READ, WRITE = "read_package_registry", "write_package_registry"
# What npm 12 calls them; npm 11 and earlier say `readonly`.
_PERMISSIONS: Mapping[str, str] = {"read-only": READ, "read-write": WRITE}
_MOST_PER_PAGE = 100
_MOST_DAYS = 36_500
_LARGEST = 64 * 1024
# Of a token only a digest is kept: what npm shows of it is how all of them begin.
_MASK = f"{PERSONAL_ACCESS_TOKEN}..."


async def index(context: Context) -> web.StreamResponse:
    """List the caller's tokens that are good, newest first, without their texts."""
    query, user_id, db = context.request.query, context.actor.id or 0, context.services.db
    size = min(max(_number(query.get("perPage"), 25), 1), _MOST_PER_PAGE)
    page = _number(query.get("page"), 0)
    total = await tokens.count_own(db, user_id)
    found = await tokens.list_own(db, user_id, limit=size, offset=page * size)
    urls = {}
    if (page + 1) * size < total:
        path = context.request.raw_path.partition("?")[0]
        urls["next"] = f"{context.services.settings.base_url}{path}?perPage={size}&page={page + 1}"
    return responses.json({"objects": [_shown(one, one.sha256) for one in found], "total": total, "urls": urls})


async def create(context: Context) -> web.StreamResponse:
    """Make a token for packages alone, with limits. The password that npm asks for is not looked at: the token is."""
    document = bodies.json_object(await bodies.read(context.request, _LARGEST))
    wanted = parse(document, datetime.now(UTC).date())
    token_id = context.actor.token_id or 0
    row, text = await derived_tokens.create(context.services.db, token_id, wanted, context.address)
    return responses.json({**_shown(row, digest(text)), "token": text}, status=201)


async def revoke(context: Context) -> web.StreamResponse:
    """Revoke one of the caller's tokens, by its key or its text, and what was made with it."""
    key = context.params["key"]
    sha256 = digest(key) if key.startswith(PERSONAL_ACCESS_TOKEN) else _digest(key)
    user_id = context.actor.id or 0
    await derived_tokens.revoke(context.services.db, context.author, user_id, sha256, derived_only=False)
    return web.Response(status=204)


def parse(document: Mapping[str, Any], today: date) -> Wanted:
    """Read what `npm token create` sends, of npm 12 and of those before. Raises Invalid for what is not offered."""
    if document.get("orgs") or document.get("orgs_permission") not in (None, "no-access"):
        raise Invalid("Tokens are not made for organisations: name packages, or scopes by --scopes")
    permission = document.get("packages_and_scopes_permission")
    if permission is None:
        permission = "read-only" if document.get("readonly") is True else "read-write"
    scope = _PERMISSIONS.get(permission) if isinstance(permission, str) else None
    if scope is None:
        raise Invalid(f"packages_and_scopes_permission is one of {', '.join(_PERMISSIONS)}")
    packages = [] if document.get("packages_all") is True else _packages(document)
    name = document.get("name")
    description = document.get("description")
    return Wanted(
        name=name if isinstance(name, str) and name.strip() else "npm token",
        description=description if isinstance(description, str) else "",
        scopes=(scope,),
        expires_at=_expiry(document.get("expires"), today),
        networks=tuple(derived_tokens.network(one) for one in _texts(document, "cidr_whitelist")),
        packages=tuple(dict.fromkeys(packages)),
    )


def _packages(document: Mapping[str, Any]) -> list[str]:
    scopes = [f"@{scope.removeprefix('@')}" for scope in _texts(document, "scopes")]
    for scope in scopes:
        names.parse_new(f"{scope}/any")
    return [*(f"npm:{names.parse(name).text}" for name in _texts(document, "packages")),
            *(f"npm:{scope}/*" for scope in scopes)]  # fmt: skip


def _texts(document: Mapping[str, Any], key: str) -> list[str]:
    value = document.get(key) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Invalid(f"{key} is a list of texts")
    return value


def _expiry(days: object, today: date) -> date | None:
    if days is None:
        return None
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= _MOST_DAYS:
        raise Invalid(f"expires is a number of days, 1 to {_MOST_DAYS}")
    return today + timedelta(days=days)


def _shown(token: OwnToken | PersonalAccessToken, sha256: bytes) -> dict[str, object]:
    packages = [one.removeprefix("npm:") for one in token.packages]
    return {
        "id": sha256.hex()[:12],
        "key": sha256.hex(),
        "token": _MASK,
        "name": token.name,
        "readonly": not {WRITE, "api"} & set(token.scopes),
        "cidr_whitelist": token.networks or None,
        "packages": [one for one in packages if not one.endswith("/*")],
        "scopes": [one.removesuffix("/*") for one in packages if one.endswith("/*")],
        "created": iso(token.created_at),
        "updated": iso(token.created_at),
        "expires": token.expires_at.isoformat() if token.expires_at else None,
    }


def _digest(key: str) -> bytes:
    try:
        return bytes.fromhex(key)
    except ValueError:
        raise NotFound("404 Token Not Found") from None


def _number(text: str | None, default: int) -> int:
    if text is None or text == "":
        return default
    if not text.isascii() or not text.isdigit():
        raise Invalid("perPage and page are numbers")
    return int(text[:6])
