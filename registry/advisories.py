"""Advisories: the only module that changes the set that audits are answered from. Loading is one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from registry.db import advisories
from registry.db.connection import Database, Db
from registry.db.instance import Author, audit
from registry.errors import NotFound
from registry.osv import Advisory

_BATCH = 500
_SET: tuple[Literal["Instance"], None, str] = ("Instance", None, "")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did: documents `put` in place, those that were `older` than what was there, and `removed` ones."""

    put: int
    older: int
    removed: int


async def load(
    db: Database, author: Author, documents: Iterable[Advisory], *, replace: bool, keep: Sequence[str] = ()
) -> Loaded:
    """Put advisories in place, newer states of the same id over older ones; withdrawn ones go.

    With `replace` whatever is not among them goes, too, except ids that begin with one of the prefixes `keep`.
    """
    put = older = removed = 0
    seen: list[str] = []
    async with db.transaction() as tx:
        for batch in _batches(documents):
            withdrawn = [one.id for one in batch.values() if one.withdrawn]
            removed += await advisories.delete(tx, withdrawn) if withdrawn else 0
            current = [one for one in batch.values() if not one.withdrawn]
            stored = await _put(tx, current)
            put += stored
            older += len(current) - stored
            seen += (one.id for one in current)
        if replace:
            removed += await advisories.delete_others(tx, seen, keep)
        await audit(tx, author, "advisories_loaded", _SET, put=put, older=older, removed=removed)
    return Loaded(put, older, removed)


async def remove(db: Database, author: Author, osv_ids: Sequence[str]) -> None:
    """Forget advisories. Raises NotFound, and forgets none, when one is not there."""
    async with db.transaction() as tx:
        if await advisories.delete(tx, osv_ids) != len(set(osv_ids)):
            raise NotFound("404 Advisory Not Found")
        await audit(tx, author, "advisories_removed", _SET, ids=list(osv_ids))


def _batches(documents: Iterable[Advisory]) -> Iterator[dict[str, Advisory]]:
    """Some at a time, each id once, in the newest state."""
    batch: dict[str, Advisory] = {}
    for one in documents:
        old = batch.get(one.id)
        if old is None or old.modified <= one.modified:
            batch[one.id] = one
        if len(batch) == _BATCH:
            yield batch
            batch = {}
    if batch:
        yield batch


async def _put(tx: Db, batch: Sequence[Advisory]) -> int:
    if not batch:
        return 0
    ids = await advisories.put(
        tx,
        [
            {"osv_id": one.id, "title": one.title, "details": one.details, "severity": one.severity,
             "cvss_vector": one.cvss_vector, "cvss_score": one.cvss_score, "cwes": one.cwes, "url": one.url,
             "published": one.published.isoformat(), "modified": one.modified.isoformat()}
            for one in batch
        ],
    )  # fmt: skip
    rows = [
        {"advisory_id": ids[one.id], "ecosystem": package.ecosystem, "name": package.name,
         "ranges": package.ranges, "versions": package.versions}
        for one in batch if one.id in ids for package in one.affected
    ]  # fmt: skip
    await advisories.put_packages(tx, list(ids.values()), rows)
    return len(ids)
