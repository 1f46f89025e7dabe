"""Whose turn it is to clean up, told by Postgres."""

from __future__ import annotations

from registry.db.connection import Db
from registry.db.queries import Queries

SQL = Queries("janitor")

# A number of our own among the advisory locks of the database.
_LOCK = 0x6A61_6E69_746F_72


async def take_turn(tx: Db) -> bool:
    """Whether nobody else cleans up at present; if so it stays this transaction's turn until it ends."""
    return bool(await tx.fetchval(SQL.take_turn, _LOCK))
