"""Names against their format: does what is stored parse, agree with its files, and render?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

from registry.db import fsck
from registry.db.connection import Database
from registry.db.fsck import NameKey
from registry.fsck.findings import Examine, Finding, StoredName

PAGE = 100


async def check(db: Database, examine: Mapping[str, Examine]) -> AsyncGenerator[Finding]:
    """Every name of every project, each as of one moment."""
    after = NameKey(0, "", "", "")
    while page := await fsck.list_names(db, after, limit=PAGE):
        for key in page:
            judge = examine.get(key.package_type)
            if judge is None:
                yield Finding("format-unknown", "error", f"{_place(key)}: this release has no such format")
                continue
            async with db.snapshot() as snapshot:
                versions = await fsck.list_versions(snapshot, key)
                tags = await fsck.list_tags(snapshot, key)
            if versions:
                stored = StoredName(key.normalized_name, versions, tags)
                for problem in await asyncio.to_thread(_problems, judge, stored):
                    yield Finding("document", "error", f"{_place(key)}: {problem}")
        after = page[-1]


def _problems(judge: Examine, stored: StoredName) -> list[str]:
    try:
        return list(judge(stored))
    except Exception as error:  # noqa: BLE001
        # Whatever stops the rendering here stops it for clients.
        return [f"its pages cannot be rendered: {type(error).__name__}: {error}"]


def _place(key: NameKey) -> str:
    return f"{key.project}: {key.package_type} {key.normalized_name}"
