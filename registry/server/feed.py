"""The feed: which names changed, after what a follower has seen, in the shape of CouchDB's `_changes`.

Each name is in the feed once, at the place of its last change, so nothing of it is ever trimmed. A sequence is the
number of that change in the change log, which is the order of the commits, and a mark of the projects that the caller
could read. A mark that does not fit, because rights, visibility or projects changed, and a number from before a backup
was restored, which made the log leap, begin the feed anew: the answer says `reset`, and what is not told again is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from registry.access import Ability
from registry.db.backups import LEAP
from registry.db.feed import FedName, page_names
from registry.errors import TooBusy
from registry.server import responses
from registry.server.content import entity
from registry.server.context import Context
from registry.server.parameters import BadParameters, Parameter, given
from registry.server.pipeline import confirm

MOST_NAMES = 10_000
# Less than the minute after which balancers give an answer up.
MOST_MILLISECONDS = 55_000
# How often a follower who waits looks.
LOOK_SECONDS = 1.0

_SEQUENCE = re.compile(r"([0-9]{1,18})(?:-([0-9a-f]{12}))?", re.ASCII)

PARAMETERS = (
    Parameter("since", description="`last_seq` of the answer before; `0`: from the start, `now`: nothing of the past",
              default="0"),
    Parameter("limit", "integer", "names of an answer; more when many changed at once", default=1000, least=1,
              most=MOST_NAMES),
    Parameter("feed", description="`longpoll`: wait for a change when there is none", values=("normal", "longpoll"),
              default="normal"),
    Parameter("timeout", "integer", "how long to wait, in milliseconds", default=30_000, least=0,
              most=MOST_MILLISECONDS),
)  # fmt: skip
CHANGES = entity(
    "Changes",
    {
        "results": {
            "type": "array",
            "items": entity(
                "ChangedName",
                {
                    "seq": "string",
                    "id": "string",
                    "type": {"type": "string", "enum": ["npm", "pypi"]},
                    "deleted": "boolean",
                    "changes": {
                        "type": "array",
                        "items": {"type": "object", "properties": {"rev": {"type": "string"}}, "required": ["rev"]},
                    },
                },
            ).schema,
        },
        "last_seq": "string",
        "reset": "boolean",
    },
)


@dataclass(frozen=True, slots=True)
class Since:
    """What a follower has seen: up to a number, None for everything until now, and of which projects, if known."""

    number: int | None
    mark: str | None = None


def parse_since(text: str) -> Since:
    """Read a sequence. Raises BadParameters."""
    if text == "now":
        return Since(None)
    found = _SEQUENCE.fullmatch(text)
    if found is None:
        raise BadParameters("since is invalid")
    return Since(int(found[1]), found[2])


def mark_of(projects: Sequence[int]) -> str:
    """What tells these projects from others, in any order."""
    return hashlib.sha256(",".join(map(str, sorted(projects))).encode()).hexdigest()[:12]


async def answer(context: Context, package_type: str | None = None) -> web.Response:
    """The next changes of the names of one type, or of all, that the caller may read."""
    values = await given(context)
    since = parse_since(values["since"])
    page = await _page(context, since, package_type, values["limit"])
    if values["feed"] == "longpoll" and not page["results"] and not page["reset"]:
        followers = context.services.followers
        if followers.locked():
            raise TooBusy("too many followers are waiting here already")
        async with followers:
            until = time.monotonic() + values["timeout"] / 1000
            since = parse_since(page["last_seq"])
            while not page["results"] and not page["reset"] and await _wait(context, until):
                page = await _page(context, since, package_type, values["limit"])
    return responses.json(page)


async def _wait(context: Context, until: float) -> bool:
    """Wait until anything at all has changed, and ask for the caller's rights again; False when the time is over."""
    services, seen = context.services, context.services.changes.position
    while seen == services.changes.position:
        transport, left = context.request.transport, until - time.monotonic()
        if left <= 0 or services.draining.is_set() or transport is None or transport.is_closing():
            return False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(services.draining.wait(), min(left, LOOK_SECONDS))
        await services.changes.barrier()
    await confirm(context, Ability.READ_PACKAGE)
    return True


async def _page(context: Context, since: Since, package_type: str | None, limit: int) -> Mapping[str, Any]:
    projects = context.target.projects
    mark, db = mark_of(projects), context.services.db
    if since.number is None:
        (head, *_) = await page_names(db, (), 0, None, 1)
        return {"results": [], "last_seq": f"{head.head}-{mark}", "reset": False}
    rows = await page_names(db, projects, since.number, package_type, limit)
    newest = rows[0].head
    leapt = since.number > newest or (since.number > 0 and since.number // LEAP != newest // LEAP)
    reset = leapt or since.mark not in {None, mark}
    if reset:
        rows = await page_names(db, projects, 0, package_type, limit)
    names = [row for row in rows if row.number is not None]
    # Behind a page that is not full there is nothing up to the newest number, whoever it belongs to.
    last = names[-1].number if len(names) >= limit else rows[0].head
    return {"results": [_entity(row, mark) for row in names], "last_seq": f"{last}-{mark}", "reset": reset}


def _entity(row: FedName, mark: str) -> Mapping[str, Any]:
    return {
        "seq": f"{row.number}-{mark}",
        "id": row.name,
        "type": row.package_type,
        "deleted": row.deleted,
        "changes": [{"rev": str(row.number)}],
    }
