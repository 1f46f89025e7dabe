"""Search: what `/-/v1/search` is asked and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from registry.formats.npm.names import Name
from registry.formats.npm.packument import VersionRow, iso

_LINKS = ("homepage", "repository", "bugs")
# Qualifiers that npm documents and nothing here can tell apart by.
_IGNORED = ("author:", "maintainer:", "not:", "is:", "boost-exact:")
_MAX_WORDS = 16


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: names that begin with `prefix`, and all of some lower-case words."""

    prefix: str
    words: tuple[str, ...]


def parse(text: str) -> Query:
    """Read a search text: words, and the qualifiers `scope:` and `keywords:` (npm registry API, search)."""
    prefix, words = "", list[str]()
    # A quotation mark or backslash is another text in a manifest, which is JSON.
    for word in text.replace('"', " ").replace("\\", " ").split():
        if word.startswith("scope:"):
            prefix = f"@{word.removeprefix('scope:').removeprefix('@')}/"
        elif word.startswith("keywords:"):
            words += word.removeprefix("keywords:").split(",")
        elif not word.startswith(_IGNORED):
            words.append(word)
    return Query(prefix, tuple(word.lower() for word in words if word)[:_MAX_WORDS])


def result(name: Name, latest: VersionRow) -> dict[str, object]:
    """One hit, described by the version tagged `latest`. npm sorts by `searchScore` and crashes without a list of
    `maintainers`.
    """
    manifest: Mapping[str, object] = orjson.loads(latest.manifest)
    keywords = manifest.get("keywords")
    description = manifest.get("description")
    publisher = latest.publisher
    people = [{"username": publisher.name, "email": publisher.email or ""}] if publisher else []
    package: dict[str, object] = {
        "name": name.text,
        "scope": name.scope or "unscoped",
        "version": latest.version,
        "description": description if isinstance(description, str) else "",
        "keywords": [word for word in keywords if isinstance(word, str)] if isinstance(keywords, list) else [],
        "date": iso(latest.created_at),
        "links": {link: url for link in _LINKS if (url := _url(manifest.get(link)))},
        "maintainers": people,
    }
    if people:
        package["publisher"] = people[0]
    score = {"final": 1.0, "detail": {"quality": 1.0, "popularity": 1.0, "maintenance": 1.0}}
    return {"package": package, "score": score, "searchScore": 1.0}


def page(results: Sequence[Mapping[str, object]], *, total: int, now: datetime) -> dict[str, object]:
    """A page of results; `total` counts all matches, not those of the page."""
    return {"objects": list(results), "total": total, "time": iso(now)}


def _url(value: object) -> str | None:
    url = value.get("url") if isinstance(value, dict) else value
    return url if isinstance(url, str) else None
