"""Public halves of signing keys, in Postgres."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from registry.db.connection import Db
from registry.db.queries import Queries

SQL = Queries("signing")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signs or once signed: `public_key` is a SubjectPublicKeyInfo in DER (RFC 5480).

    Signatures of what was published at `expires_at` or later do not count; None: the key has not expired.
    """

    id: str
    public_key: bytes
    expires_at: datetime | None


async def list_keys(db: Db) -> tuple[PublicKey, ...]:
    """All keys, oldest first."""
    return tuple([PublicKey(**row) for row in await db.fetch(SQL.list_keys)])


async def insert_key(tx: Db, key_id: str, public_key: bytes) -> bool:
    """Make a key known; False when it was already."""
    return bool(await tx.fetchval(SQL.insert_key, key_id, public_key))


async def expire_key(tx: Db, key_id: str, expires_at: datetime) -> bool:
    """Set when a key expires; False when there is none of this id."""
    return bool(await tx.fetchval(SQL.expire_key, key_id, expires_at))
