"""Package lists: the ids of a list's packages in order, kept as compact arrays, valid as of the barrier.

A page is a slice, so the last page of a hundred thousand packages costs what the first one does. The list of a project
is forgotten when a package appears in it, disappears or changes its status. After that the first pages need only the
head of the list, which an index answers; a deeper one reads the whole list once, for all pages behind it.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from registry.cache import Cache
from registry.db import package_lists
from registry.db.connection import Db
from registry.db.listings import PageOfIds, Window
from registry.db.package_lists import PackageFilter

# Ids in the head of a list.
HEAD = 1_000
# What is kept, in ids of eight bytes: 32 MB.
_KEPT = 4_000_000
# What a list costs beside its ids.
_OVERHEAD = 100

# Changes that leave every list as it is; any other that is not about packages may be about what we do not know yet.
_ELSEWHERE = frozenset({"name", "token", "user", "settings"})


@dataclass(frozen=True, slots=True)
class _Key:
    """A whole list, ascending; or its head, in one of the two directions."""

    projects: tuple[int, ...]
    chosen: PackageFilter
    order_by: str
    head: bool = False
    descending: bool = False


@dataclass(frozen=True, slots=True)
class _List:
    projects: frozenset[int]
    ids: array[int]
    total: int
    weight: int


class PackageLists:
    """The lists that were asked for. `forget` is for `registry.changes`."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._lists: Cache[_Key, _List] = Cache("package_list", _KEPT, weigh=lambda found: found.weight)

    async def page(self, projects: tuple[int, ...], chosen: PackageFilter, window: Window) -> PageOfIds:
        """One page of the packages of some projects.

        `window.order_by` is `created_at`, `name`, `version`, `type` or `project_path`; equal ones are in the order in
        which they were made. Descending is exactly the reverse of ascending.
        """
        start, stop = window.offset, window.offset + window.limit + 1
        if stop <= HEAD and len(projects) == 1 and window.order_by == "created_at":
            head = await self._get(_Key(projects, chosen, window.order_by, head=True, descending=window.descending))
            return PageOfIds(list(head.ids[start:stop]), head.total)
        whole = await self._get(_Key(projects, chosen, window.order_by))
        if not window.descending:
            return PageOfIds(list(whole.ids[start:stop]), whole.total)
        start, stop = (max(len(whole.ids) - end, 0) for end in (stop, start))
        return PageOfIds(list(reversed(whole.ids[start:stop])), whole.total)

    def forget(self, moved: Sequence[tuple[str, str]] | None) -> None:
        """Drop what moved; None drops everything."""
        for kind, key in moved if moved is not None else [("everything", "")]:
            if kind == "packages":
                project = int(key)
                self._lists.forget_if(lambda _, found, project=project: project in found.projects)  # type: ignore[misc]
            elif kind not in _ELSEWHERE:
                self._lists.clear()

    async def _get(self, key: _Key) -> _List:
        return await self._lists.get(key, lambda: self._load(key))

    async def _load(self, key: _Key) -> _List:
        (first, *more), chosen = key.projects or (0,), key.chosen
        if more or key.order_by != "created_at":
            ids = await package_lists.list_ids(self._db, key.projects, chosen, key.order_by)
        else:
            ids = await package_lists.list_first_ids(
                self._db, first, chosen, descending=key.descending, limit=HEAD if key.head else None
            )
        total = len(ids)
        if key.head and total == HEAD:
            total = await package_lists.count_packages(self._db, first, chosen)
        text = sum(map(len, (*chosen.words, chosen.version or "")))
        weight = len(ids) + 8 * len(key.projects) + text + _OVERHEAD
        return _List(frozenset(key.projects), ids, total, weight)
