"""Tokens that people show in a body, to sign in with: looked up and counted like those in a header."""

from __future__ import annotations

from registry.access import Actor
from registry.errors import Unauthenticated
from registry.lookups import Refusal
from registry.server.auth import accepted, admitted
from registry.server.context import Context


async def person(context: Context, token: str) -> Actor:
    """Whose personal access token it is. Raises Unauthenticated, Forbidden, RateLimited after too many guesses."""
    limits, address = context.limits, context.address
    if limits.guessing:
        limits.check_secret(address, token)
    await context.services.changes.barrier(write=True)
    found = await context.services.lookups.actor(token)
    if isinstance(found, Refusal) and found.reason == "unknown":
        limits.failed_sign_in(address, token)
        raise Unauthenticated
    limits.signed_in(address, token)
    actor = admitted(accepted(found, "user"), address)
    if not actor.is_user:
        raise Unauthenticated
    return actor
