"""Sign-ins that a browser finishes, in Postgres."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from registry.db.connection import Db
from registry.db.queries import Queries

SQL = Queries("sign_ins")


@dataclass(frozen=True, slots=True)
class OpenSignIns:
    """How many sign-ins are under way."""

    here: int
    around: int
    everywhere: int


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in as the page shows it: where it was begun, and when."""

    address: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AskedSignIn:
    """A sign-in as its client asks about it; `token_id` is that of the token shown in the browser, None until then."""

    id: int
    token_id: int | None


async def forget_old(tx: Db, lifetime: timedelta) -> None:
    """Forget the sign-ins that nobody finished in time."""
    await tx.execute(SQL.forget_old, lifetime)


async def count_open(db: Db, address: str, site: str, lifetime: timedelta) -> OpenSignIns:
    """How many sign-ins are under way, from one address, from one site, and from all."""
    row = await db.fetchrow(SQL.count_open, address, site, lifetime)
    return OpenSignIns(**row)  # type: ignore[arg-type]  # it always answers one row


async def insert(tx: Db, *, browser_sha256: bytes, client_sha256: bytes, address: str, site: str) -> None:
    """Begin a sign-in, known by the digests of its two secrets."""
    await tx.execute(SQL.insert, browser_sha256, client_sha256, address, site)


async def find_waiting(db: Db, browser_sha256: bytes, lifetime: timedelta) -> SignIn | None:
    """A sign-in that waits for a token to be shown."""
    row = await db.fetchrow(SQL.find_waiting, browser_sha256, lifetime)
    return SignIn(**row) if row else None


async def show_token(tx: Db, browser_sha256: bytes, token_id: int, lifetime: timedelta) -> bool:
    """Note which token was shown; False when there is nothing that waits for one."""
    return await tx.fetchval(SQL.show_token, browser_sha256, token_id, lifetime) is not None


async def find_asked(db: Db, client_sha256: bytes, lifetime: timedelta) -> AskedSignIn | None:
    """The sign-in that a client asks about."""
    row = await db.fetchrow(SQL.find_asked, client_sha256, lifetime)
    return AskedSignIn(**row) if row else None


async def lock_asked(tx: Db, client_sha256: bytes, lifetime: timedelta) -> AskedSignIn | None:
    """The same, locked until the end of the transaction."""
    row = await tx.fetchrow(SQL.lock_asked, client_sha256, lifetime)
    return AskedSignIn(**row) if row else None


async def delete(tx: Db, sign_in_id: int) -> None:
    """Forget a sign-in that is over."""
    await tx.execute(SQL.delete, sign_in_id)
