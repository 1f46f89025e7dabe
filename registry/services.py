"""Services: everything a handler may use, in one value."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from registry.budget import Budget
from registry.changes import Changes
from registry.db.connection import Database
from registry.documents import Documents
from registry.ingest import Ingest
from registry.inspection import Inspector
from registry.lookups import Lookups
from registry.package_lists import PackageLists
from registry.protection import Normalize
from registry.sections import KeptSections
from registry.settings import Settings
from registry.siblings import Siblings
from registry.storage import BlobStore
from registry.usage import Usage

_FOLLOWERS = 100
# Audits at the same time, how many may stand in line for that, and how long: an audit may cost a second and 100 MB.
_AUDITS = 2
_AUDITS_WAITING = 100
_AUDIT_WAIT_SECONDS = 30


def _audits() -> Budget:
    refusal = "Too many audits are under way"
    return Budget(_AUDITS, waiting=_AUDITS_WAITING, seconds=_AUDIT_WAIT_SECONDS, refusal=refusal)


@dataclass(frozen=True, slots=True)
class Services:
    """The running parts. `redirects` says whether downloads may go to presigned URLs of the store.

    `normalize` and `same_version` know how each format, named first, compares names and versions. `draining` is set
    once the server was told to stop, `outgrown` while the schema of the database is too new for this release.
    `siblings` are the other workers on this port, if there are any. `followers` bounds those who wait here for the next
    change, `audits` the dependency trees that are looked at here at the same time.
    """

    settings: Settings
    db: Database
    store: BlobStore
    changes: Changes
    lookups: Lookups
    package_lists: PackageLists
    documents: Documents
    sections: KeptSections
    ingest: Ingest
    inspector: Inspector
    usage: Usage
    redirects: bool
    normalize: Normalize
    same_version: Callable[[str, str, str], bool]
    siblings: Siblings | None = None
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    outgrown: asyncio.Event = field(default_factory=asyncio.Event)
    followers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_FOLLOWERS))
    audits: Budget = field(default_factory=_audits)

    @property
    def api_url(self) -> str:
        """Base of every API URL written into documents; no trailing slash."""
        return f"{self.settings.base_url}/api/v4"
