"""Failpoints: named places where a test may stop the server, to see that nothing is lost or half-visible.

`REGISTRY_FAILPOINT=publish.before-commit:kill` kills the process there as SIGKILL would; `:raise` raises, `:hang` waits
for ever. Off unless set, and then a plain comparison.
"""

from __future__ import annotations

import asyncio
import os
import signal

NAMES = (
    "ingest.before-intent",
    "ingest.after-intent",
    "ingest.after-first-piece",
    "ingest.before-store-commit",
    "ingest.after-store-commit",
    "publish.before-transaction",
    "publish.before-commit",
    "publish.after-commit",
    "delete.before-commit",
    "delete.after-commit",
    "gc.after-abort",
    "gc.before-object",
    "gc.after-object",
    "migration.before-commit",
)


class FailpointError(Exception):
    """Raised by a failpoint set to `raise`."""


_armed: dict[str, str] = {}


def arm(setting: str | None) -> None:
    """Set the failpoint from `name:action`; None disarms. Raises ValueError for an unknown name or action."""
    _armed.clear()
    if setting is None:
        return
    name, _, action = setting.partition(":")
    if name not in NAMES or action not in {"kill", "raise", "hang"}:
        raise ValueError(f"{setting!r} is no failpoint; names are {', '.join(NAMES)}; actions are kill, raise, hang")
    _armed[name] = action


async def reach(name: str) -> None:
    """Do here what the failpoint of this name is set to do."""
    if not _armed:
        return
    match _armed.get(name):
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise FailpointError(name)
        case "hang":
            await asyncio.get_running_loop().create_future()
        case _:
            return
