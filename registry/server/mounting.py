"""Mounting: which route a path below a mount means.

A path of a mount is read as one below the base of its project or group, and the route table does the rest: access,
limits, documents and errors are those of that route. The server's own routes come first, wherever they are asked for.
Then a mount of the Host goes before those of any host, a longer prefix before a shorter, and PyPI's meaning of a path
before npm's, in the order in which the formats were mounted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from registry.db.mounts import MountRow
from registry.errors import MethodNotAllowed, NotFound
from registry.model import Level
from registry.mounts import MOST_SEGMENTS, plain_host
from registry.server.routes import BASES, Face, Match, Table, path_of

# Below it lies the API, and nothing else: no package has a path that begins like this.
_API = "/api/v4/"


def may_be_mounted(raw_path: str) -> bool:
    """Whether a path may be one of a mount at all."""
    return not path_of(raw_path).startswith(_API)


class Mounting:
    """The mounts as they are known, by address. Whoever asks has looked up what they are at the barrier."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows: Iterable[MountRow] | None = None
        self._at: dict[tuple[str, str], dict[str, MountRow]] = {}

    def __bool__(self) -> bool:
        return bool(self._at)

    def renew(self, rows: Iterable[MountRow]) -> None:
        """Take note of the mounts; the same collection again is nothing new."""
        if rows is self._rows:
            return
        at: dict[tuple[str, str], dict[str, MountRow]] = {}
        for row in rows:
            at.setdefault((row.host, row.prefix), {})[row.package_type] = row
        self._rows, self._at = rows, at

    def find(self, method: str, host: str, raw_path: str) -> tuple[Match, MountRow] | None:
        """The endpoint that a request to a mount means; None where there is no mount.

        Raises NotFound, MethodNotAllowed, Invalid as `Table.find`.
        """
        absent: NotFound | None = None
        for row, path in self._readings(host, raw_path):
            try:
                return self._table.find(method, path), row
            except MethodNotAllowed:
                # The path is this format's, so no other format may answer to another method of it.
                raise
            except NotFound as error:
                absent = error
        if absent is not None:
            raise absent
        return None

    def face(self, host: str, raw_path: str) -> Face | None:
        """How the first format of a mount says no; None where there is no mount."""
        return next((self._table.face(path) for _, path in self._readings(host, raw_path)), None)

    def _readings(self, host: str, raw_path: str) -> Iterator[tuple[MountRow, str]]:
        path = path_of(raw_path)
        found = self._mounts_of(plain_host(host), path) if may_be_mounted(path) else None
        if found is None:
            return
        prefix, rows = found
        rest = path[len(prefix) :]
        for package_type, one in self._table.formats.items():
            row = rows.get(package_type) or rows.get("")
            if row is not None:
                level = Level.GROUP if row.project_id is None else Level.PROJECT
                base = BASES[level].format(type=package_type).replace("{id}", str(row.project_id or row.namespace_id))
                yield row, base + one.mounted.get(rest.rstrip("/"), rest)

    def _mounts_of(self, host: str, path: str) -> tuple[str, dict[str, MountRow]] | None:
        segments = path.split("/", MOST_SEGMENTS + 1)
        lengths = range(min(len(segments), MOST_SEGMENTS + 1), 0, -1)
        prefixes = ["/".join(segments[:length]) for length in lengths]
        for known in (host, ""):
            for prefix in prefixes:
                rows = self._at.get((known, prefix))
                if rows is not None:
                    return prefix, rows
        return None
