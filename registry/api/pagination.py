"""Pagination of the management API: offset pages with totals, keyset pages by id (GitLab: REST API, pagination)."""

from __future__ import annotations

import math
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from registry.db.listings import COUNTED, PageOfIds, Window
from registry.errors import RegistryError
from registry.server import responses
from registry.server.context import Context
from registry.server.parameters import Parameter
from registry.server.routes import path_of

MOST_PER_PAGE = 100
# GitLab refuses to skip more rows than this where keyset pages are offered instead.
MOST_SKIPPED = 50_000

PAGE = (
    Parameter("page", "integer", "number of the page, from 1", default=1),
    Parameter("per_page", "integer", f"rows of a page, at most {MOST_PER_PAGE}", default=20),
)
KEYSET = (
    *PAGE,
    Parameter("pagination", description="`keyset` walks by id instead of by page", values=("keyset", "legacy")),
    Parameter("id_after", "integer", "only ids greater than this"),
    Parameter("id_before", "integer", "only ids less than this"),
)

# Parameters that a link must not repeat: a token would end in logs and histories.
_SECRET = frozenset({"private_token", "job_token", "access_token"})


class PaginationUnavailable(RegistryError):
    """Pagination of a kind that is not offered here"""

    status = 405


@dataclass(frozen=True, slots=True)
class Pages:
    """Which page of a list was asked for."""

    page: int
    per_page: int
    keyset: bool
    window: Window


def pages(
    given: Mapping[str, Any], *, order_by: str = "id", descending: bool = False, rows: str | None = None
) -> Pages:
    """Read the pagination parameters; `order_by` and `sort` of the request win over the given defaults.

    Numbers outside their range are clamped. `rows` names what is listed where keyset pages are offered. Raises
    PaginationUnavailable for keyset pages in another order than by id, and for offsets that keyset pages serve better.
    """
    keyset = given.get("pagination") == "keyset"
    asked = given.get("order_by")
    if keyset and asked not in {None, "id"}:
        raise PaginationUnavailable("Keyset pagination is not yet available for this type of request")
    page = 1 if keyset else min(max(given["page"], 1), 2**40)
    per_page = min(max(given["per_page"], 1), MOST_PER_PAGE)
    offset = (page - 1) * per_page
    if rows is not None and offset > MOST_SKIPPED:
        raise PaginationUnavailable(
            f"Offset pagination has a maximum allowed offset of {MOST_SKIPPED} for requests that return objects of "
            f"type {rows}. Remaining records can be retrieved using keyset pagination."
        )
    sort = given.get("sort")
    window = Window(
        limit=per_page,
        offset=offset,
        order_by="id" if keyset else (asked or order_by),
        descending=sort == "desc" if sort is not None else descending,
        id_after=given.get("id_after"),
        id_before=given.get("id_before"),
    )
    return Pages(page, per_page, keyset, window)


def respond(context: Context, asked: Pages, found: PageOfIds, items: Sequence[object]) -> web.Response:
    """The answer of a list: its items, and the headers that lead to the other pages."""
    headers = _keyset_headers(context, asked, found) if asked.keyset else _offset_headers(context, asked, found)
    return responses.json(list(items), headers=headers)


def _keyset_headers(context: Context, asked: Pages, found: PageOfIds) -> dict[str, str]:
    if len(found.ids) <= asked.per_page:
        return {}
    cursor = "id_before" if asked.window.descending else "id_after"
    return {"Link": _link(context, "next", {cursor: found.ids[asked.per_page - 1], "per_page": asked.per_page})}


def _offset_headers(context: Context, asked: Pages, found: PageOfIds) -> dict[str, str]:
    page, per_page = asked.page, asked.per_page
    following = page + 1 if len(found.ids) > per_page else None
    before = page - 1 if page > 1 else None
    headers = {
        "X-Page": str(page),
        "X-Per-Page": str(per_page),
        "X-Next-Page": str(following or ""),
        "X-Prev-Page": str(before or ""),
    }
    links = {"prev": before, "next": following, "first": 1}
    if found.total <= COUNTED:
        last = max(1, math.ceil(found.total / per_page))
        headers |= {"X-Total": str(found.total), "X-Total-Pages": str(last)}
        links["last"] = last
    headers["Link"] = ", ".join(
        _link(context, rel, {"page": number, "per_page": per_page})
        for rel, number in links.items()
        if number is not None
    )
    return headers


def _link(context: Context, rel: str, changed: Mapping[str, int]) -> str:
    request = context.request
    pairs = [(k, v) for k, v in request.query.items() if k not in changed and k not in _SECRET]
    query = urllib.parse.urlencode([*pairs, *changed.items()])
    return f'<{context.services.settings.base_url}{path_of(request.raw_path)}?{query}>; rel="{rel}"'
