"""Sign-in of a client through a browser: begun by the client, confirmed on a page, fetched by the client, once.

All of it is in Postgres, so each step may reach another replica. Two secrets lead to it, one for the browser and one
for the client; only their digests are stored. The token is made when the client fetches it, so it is never stored.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from registry import derived_tokens
from registry.access import Actor
from registry.accounts import digest
from registry.db import changes, sign_ins
from registry.db.changes import Change
from registry.db.connection import Database
from registry.db.sign_ins import SignIn
from registry.derived_tokens import Wanted
from registry.errors import NotFound, TooBusy

LIFETIME = timedelta(minutes=10)
# Sign-ins under way at the same time, from one address, from one site, and in all: each is a row until it is over.
MOST_HERE = 20
MOST_AROUND = 100
MOST = 10_000


async def begin(db: Database, address: str, site: str) -> tuple[str, str]:
    """Begin a sign-in: the secret of the browser's page, and that with which the client asks. Raises TooBusy.

    `site` is the network around the address that may be the same people's.
    """
    await _check_open(db, address, site)
    browser, client = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    async with db.transaction() as tx:
        await sign_ins.forget_old(tx, LIFETIME)
        await sign_ins.insert(
            tx, browser_sha256=digest(browser), client_sha256=digest(client), address=address, site=site
        )
    return browser, client


async def find(db: Database, browser: str) -> SignIn:
    """The sign-in that a page is about. Raises NotFound when it is over, or nobody began it."""
    found = await sign_ins.find_waiting(db, digest(browser), LIFETIME)
    if found is None:
        raise _over()
    return found


async def confirm(db: Database, browser: str, actor: Actor) -> None:
    """Let the client in as the user whose token was shown. Raises NotFound when the sign-in is over."""
    await find(db, browser)
    async with db.transaction() as tx:
        if actor.token_id is None or not await sign_ins.show_token(tx, digest(browser), actor.token_id, LIFETIME):
            raise _over()


async def fetch(db: Database, client: str, address: str | None) -> str | None:
    """The token for the client, once; None as long as nobody confirmed. Raises NotFound, Unauthenticated, Forbidden."""
    # Clients ask again and again, and strangers guess: neither costs a transaction.
    asked = await sign_ins.find_asked(db, digest(client), LIFETIME)
    if asked is None:
        raise _over()
    if asked.token_id is None:
        return None
    async with db.transaction() as tx:
        asked = await sign_ins.lock_asked(tx, digest(client), LIFETIME)
        if asked is None or asked.token_id is None:
            raise _over()
        await sign_ins.delete(tx, asked.id)
        _, text = await derived_tokens.derive(tx, asked.token_id, Wanted("npm login"), address)
        await changes.record(tx, [Change("token", digest(text).hex())])
    return text


async def _check_open(db: Database, address: str, site: str) -> None:
    under_way = await sign_ins.count_open(db, address, site, LIFETIME)
    if under_way.here >= MOST_HERE or under_way.around >= MOST_AROUND or under_way.everywhere >= MOST:
        raise TooBusy("Too many sign-ins are under way", retry_after=60)


def _over() -> NotFound:
    return NotFound("404 This sign-in is over, or was never begun: begin it anew")
