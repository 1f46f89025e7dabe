"""Derived tokens: personal access tokens that a person makes with one of theirs, to sign a client in or to hand on.

A derived token opens at most what its parent opens, is accepted at most where that is, and ends with it at the latest:
whoever revokes or rotates a token gets rid of everything that was made with it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from registry.access import Actor, scopes_cover
from registry.accounts import PERSONAL_ACCESS_TOKEN, check_text, digest, new_token
from registry.db import accounts, changes, tokens
from registry.db.accounts import PersonalAccessToken
from registry.db.changes import Change
from registry.db.connection import Database, Db
from registry.db.instance import Author, audit
from registry.db.tokens import LockedToken
from registry.errors import Forbidden, InvalidField, NotFound, Unauthenticated

MOST_NETWORKS = 100
MOST_PACKAGES = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """A token to be made: `scopes` None for those of its parent, and the narrower limits, none when empty."""

    name: str
    description: str = ""
    scopes: tuple[str, ...] | None = None
    expires_at: date | None = None
    networks: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


async def create(db: Database, parent_id: int, wanted: Wanted, address: str | None) -> tuple[PersonalAccessToken, str]:
    """Make a token: its row, and its text, shown once. `address` is for the audit row.

    Raises Invalid, Unauthenticated, Forbidden.
    """
    async with db.transaction() as tx:
        row, text = await derive(tx, parent_id, wanted, address)
        await changes.record(tx, [Change("token", digest(text).hex())])
    return row, text


async def derive(tx: Db, parent_id: int, wanted: Wanted, address: str | None) -> tuple[PersonalAccessToken, str]:
    """The same in a transaction of the caller's, who records the change of a token.

    Raises Unauthenticated when the parent has ended, Forbidden for a bot's token.
    """
    check_text(wanted.name, "name")
    parent = await tokens.lock_token(tx, parent_id)
    if parent is None or parent.revoked or _has_ended(parent):
        raise Unauthenticated("The token that was shown is no longer good")
    user = await accounts.find_user(tx, parent.user_id)
    if user is None or user.state != "active" or user.kind != "human":
        raise Forbidden("403 Forbidden - Only people make tokens with theirs, bots do not.")
    text = new_token(PERSONAL_ACCESS_TOKEN)
    row = await accounts.insert_personal_access_token(
        tx,
        user_id=user.id,
        name=wanted.name,
        description=wanted.description,
        sha256=digest(text),
        scopes=_scopes(parent, wanted.scopes),
        expires_at=min(filter(None, (parent.expires_at, wanted.expires_at)), default=None),
        parent_id=parent.id,
        networks=_networks(parent, wanted.networks),
        packages=_packages(parent, wanted.packages),
    )
    by = Actor(kind="user", id=user.id, username=user.username, name=user.name, token_id=parent.id)
    await audit(
        tx, Author(by, address), "personal_access_token_created", ("User", user.id, user.username),
        personal_access_token_id=row.id, scopes=row.scopes, made_with=parent.id,
    )  # fmt: skip
    return row, text


async def revoke(db: Database, author: Author, user_id: int, sha256: bytes, *, derived_only: bool) -> None:
    """Revoke a token of a user by the digest of its text, and what was made with it, at once on every replica.

    Raises NotFound when it is not theirs; Forbidden for one that was not made with another, where only such may go.
    """
    async with db.transaction() as tx:
        found = await tokens.find_own(tx, user_id, sha256)
        if found is None:
            raise NotFound("404 Token Not Found")
        if derived_only and not found.derived:
            raise Forbidden(
                "403 Forbidden - This token was not made by signing in, so signing out does not revoke it: "
                "take it out of the settings of the client, or revoke it by `npm token revoke`."
            )
        await tokens.lock_token(tx, found.id)
        gone = await tokens.revoke_token(tx, found.id)
        if gone:
            await audit(
                tx, author, "personal_access_token_revoked", ("User", user_id, author.actor.username),
                personal_access_token_id=found.id, revoked=len(gone),
            )  # fmt: skip
            await changes.record(tx, [Change("token", one.hex()) for one in gone])


def network(text: str) -> str:
    """An address or a network in CIDR notation, as it is stored. Raises InvalidField."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise InvalidField("cidr_whitelist", "holds what is no network such as 192.0.2.0/24") from None


def _scopes(parent: LockedToken, wanted: Sequence[str] | None) -> Sequence[str]:
    """The scopes of a derived token: its parent's, unless others are wanted. Raises InvalidField."""
    if wanted is None:
        return parent.scopes
    if not scopes_cover(parent.scopes, wanted):
        raise InvalidField("scopes", "reach what the token in use does not")
    return sorted(set(wanted))


def _networks(parent: LockedToken, wanted: Sequence[str]) -> Sequence[str]:
    """The networks of a derived token: its parent's, unless narrower ones are wanted. Raises InvalidField."""
    if len(wanted) > MOST_NETWORKS:
        raise InvalidField("cidr_whitelist", f"is too long (maximum is {MOST_NETWORKS} networks)")
    if parent.networks:
        for one in wanted:
            if not any(_is_within(one, allowed) for allowed in parent.networks):
                raise InvalidField("cidr_whitelist", f"holds {one}, from where the token in use is not accepted")
    return wanted or parent.networks


def _is_within(inner: str, outer: str) -> bool:
    narrow, wide = ipaddress.ip_network(inner), ipaddress.ip_network(outer)
    return narrow.version == wide.version and narrow.subnet_of(wide)  # type: ignore[arg-type]  # of one version


def _packages(parent: LockedToken, wanted: Sequence[str]) -> Sequence[str]:
    if len(wanted) > MOST_PACKAGES:
        raise InvalidField("packages", f"is too long (maximum is {MOST_PACKAGES} packages and scopes)")
    if parent.packages and not set(wanted) <= set(parent.packages):
        raise InvalidField("packages", "holds what the token in use is not for")
    return wanted or parent.packages


def _has_ended(token: LockedToken) -> bool:
    return token.expires_at is not None and token.expires_at <= datetime.now(UTC).date()
