"""Credentials -> Actor. One way in for every form GitLab's clients send (contract, section 2)."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from typing import Literal

from aiohttp import web

from registry import metrics
from registry.access import ANONYMOUS, Actor
from registry.errors import Forbidden, Unauthenticated
from registry.lookups import Lookups, Refusal

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Form = Literal["deploy_token", "user", "any", "basic"]

# The user name that marks a CI job token (contract 2.1).
JOB_USER = "gitlab-ci-token"
# Who shows a password that nobody has: as good as ANONYMOUS, and known by its identity.
STRANGER = Actor()


async def authenticate(request: web.Request, lookups: Lookups, address: str | None) -> Actor:
    """Who is asking, from which address. Raises Forbidden when the token is limited to other networks.

    An unknown password in Basic is a STRANGER (contract 2.2), so that public packages stay readable with stale
    credentials; an unknown token in any other form, and any expired or revoked one, raises Unauthenticated.
    """
    return admitted(await _authenticate(request, lookups), address)


def admitted(actor: Actor, address: str | None) -> Actor:
    """The actor, where its token is accepted from this address. Raises Forbidden."""
    if not actor.is_admitted_from(address):
        raise Forbidden("403 Forbidden - This token is not accepted from your address.")
    return actor


async def _authenticate(request: web.Request, lookups: Lookups) -> Actor:
    headers = request.headers
    token = headers.get("Deploy-Token")
    if token:
        return await _actor(token, "deploy_token", lookups)
    token = headers.get("PRIVATE-TOKEN") or request.query.get("private_token")
    if token:
        return await _actor(token, "user", lookups)
    authorization = headers.get("Authorization")
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        scheme = scheme.lower()
        if scheme == "bearer":
            return await _actor(value.strip(), "any", lookups)
        if scheme == "basic":
            return await _basic(value, lookups)
        raise Unauthenticated
    if headers.get("JOB-TOKEN") or request.query.get("job_token"):
        # No issuer of job tokens is known to this server, so none is valid.
        raise Unauthenticated
    return ANONYMOUS


def secret(request: web.Request) -> str:
    """What a request shows to prove who asks, whatever form it has; '' when there is nothing."""
    headers, query = request.headers, request.query
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        _, value = _user_and_password(value) or ("", "")
    tokens = (headers.get("Deploy-Token"), headers.get("PRIVATE-TOKEN"), query.get("private_token"), value.strip(),
              headers.get("JOB-TOKEN"), query.get("job_token"))  # fmt: skip
    return next(filter(None, tokens), "")


async def _basic(value: str, lookups: Lookups) -> Actor:
    decoded = _user_and_password(value)
    if decoded is None:
        metrics.auth.labels("basic", "malformed").inc()
        return ANONYMOUS
    user, password = decoded
    if not password:
        # uv sends `user:` once before it asks the keyring.
        return ANONYMOUS
    found = await lookups.actor(password)
    if isinstance(found, Refusal) and found.reason == "unknown":
        metrics.auth.labels("basic", "unknown").inc()
        if user == JOB_USER:
            raise Unauthenticated
        return STRANGER
    return accepted(found, "basic")


def _user_and_password(value: str) -> tuple[str, str] | None:
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return user, password


async def _actor(token: str, form: _Form, lookups: Lookups) -> Actor:
    found = await lookups.actor(token)
    if isinstance(found, Actor) and form in {"user", "deploy_token"} and found.kind != form:
        found = Refusal("unknown")
    return accepted(found, form)


def accepted(found: Actor | Refusal, form: _Form) -> Actor:
    """The actor of a token that was looked up. Raises Unauthenticated, Forbidden for one that is no good."""
    if isinstance(found, Actor):
        return found
    metrics.auth.labels(form, found.reason).inc()
    match found.reason:
        case "expired":
            raise Unauthenticated(
                "Token is expired. You can either do re-authorization or token refresh.", code="invalid_token"
            )
        case "revoked":
            raise Unauthenticated("Token was revoked. You have to re-authorize from the user.", code="invalid_token")
        case "blocked":
            raise Forbidden("403 Forbidden - Your account has been blocked.")
        case "unknown":
            raise Unauthenticated


def client_address(request: web.Request, proxies: tuple[Network, ...]) -> str | None:
    """The address to write down: the peer's, or what a trusted proxy says it was (the last untrusted hop)."""
    if request.remote is None:
        return None
    peer = _plain(request.remote)
    if not proxies or not _is_within(peer, proxies):
        return peer
    hops = [hop.strip() for hop in _joined(request.headers, "X-Forwarded-For").split(",") if hop.strip()]
    for hop in map(_plain, reversed(hops)):
        if not _is_within(hop, proxies):
            return hop if _is_address(hop) else peer
    return peer


def _plain(address: str) -> str:
    """An IPv4 address as such, also where a socket of both families writes `::ffff:` before it."""
    return address.removeprefix("::ffff:") if "." in address else address


def _joined(headers: Mapping[str, str], name: str) -> str:
    getall = getattr(headers, "getall", None)
    return ",".join(getall(name, [])) if getall else headers.get(name, "")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_within(text: str, networks: tuple[Network, ...]) -> bool:
    return _is_address(text) and any(ipaddress.ip_address(text) in network for network in networks)
