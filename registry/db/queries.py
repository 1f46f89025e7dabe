"""Named queries: `sql/queries/<name>.sql`, read once.

A file holds queries, each under a header `-- name: list_files -> FileRow` and a sentence. The part after the arrow is
the dataclass, of the module of the same name, that a row fills; `tests/db/test_queries.py` prepares every query against
the migrated schema and compares the columns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from registry import resource

_HEADER = re.compile(r"^-- name: (?P<name>[a-z_]+)(?: -> (?P<fills>[A-Za-z]+))?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Query:
    """One query: its text for asyncpg, and the dataclass its rows fill (None: single values or nothing)."""

    name: str
    text: str
    fills: str | None


class Queries:
    """The queries of one file as attributes holding SQL text."""

    def __init__(self, topic: str) -> None:
        path = resource("sql") / "queries" / f"{topic}.sql"
        self.all = {query.name: query for query in parse(path.read_text(encoding="utf-8"))}

    def __getattr__(self, name: str) -> str:
        try:
            return self.all[name].text
        except KeyError:
            raise AttributeError(f"there is no query {name!r}") from None


def parse(text: str) -> list[Query]:
    """Split the text of a query file at its headers."""
    headers = list(_HEADER.finditer(text))
    ends = [header.start() for header in headers[1:]] + [len(text)]
    return [
        Query(header["name"], _without_comments(text[header.end() : end]), header["fills"])
        for header, end in zip(headers, ends, strict=True)
    ]


def _without_comments(text: str) -> str:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return "\n".join(lines).strip().removesuffix(";")
