"""Failpoints: named places where a test may stop the server, to see that nothing is lost or half-visible.

`REGISTRY_FAILPOINT=publish.before-commit:kill` kills the process there as SIGKILL would. `:raise` raises, `:full`
raises what a full disk does. `:hang` waits until something else, or nothing, is armed, for `HANG_SECONDS` at most, and
goes on. `multipart.after-part#3:kill` does so the third time only. Off unless set, and then a plain comparison.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import signal
import threading
import time
from dataclasses import dataclass, field

HANG_SECONDS = 60.0
ACTIONS = ("kill", "raise", "hang", "full")

# What `catalog` and `staging` change, each in one transaction with these places around and in it.
CHANGES = ("publish", "delete", "tag", "deprecate", "stage", "promote", "drop")
_PLACES = ("before-transaction", "before-commit", "after-commit")

NAMES = (
    "ingest.before-intent",
    "ingest.after-intent",
    "ingest.after-piece",
    "ingest.before-store-commit",
    "ingest.after-store-commit",
    "ingest.after-digests",
    "local.before-write",
    "local.before-sync",
    "local.after-link",
    "multipart.after-create",
    "multipart.before-part",
    "multipart.after-part",
    "multipart.before-complete",
    "multipart.after-complete",
    "inspection.before-reading",
    "publish.after-package",
    "promote.after-file",
    *(f"{change}.{place}" for change in CHANGES for place in _PLACES),
    "discard.before-object",
    "discard.after-object",
    "gc.after-doom",
    "gc.after-abort",
    "gc.before-object",
    "gc.after-object",
    "trim.before-delete",
    "migration.before-file",
    "migration.before-commit",
    "migration.after-commit",
)

_SETTING = re.compile(r"(?P<name>[a-z.-]+)(?:#(?P<time>[1-9]\d*))?:(?P<action>[a-z]+)")


class FailpointError(Exception):
    """Raised by a failpoint set to `raise`."""


@dataclass
class _Armed:
    name: str
    time: int | None
    action: str
    reached: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def due(self, name: str) -> str | None:
        if name != self.name:
            return None
        self.reached += 1
        return self.action if self.time in (None, self.reached) else None


_armed: _Armed | None = None


def arm(setting: str | None) -> None:
    """Set the failpoint from `name:action` or `name#time:action`; None disarms. Who hangs at the one before goes on.

    Raises ValueError for an unknown name or action.
    """
    global _armed  # noqa: PLW0603  # one for the process, as the environment it comes from
    if _armed is not None:
        _armed.over.set()
    _armed = None if setting is None else _read(setting)


def _read(setting: str) -> _Armed:
    match = _SETTING.fullmatch(setting)
    if match is None or match["name"] not in NAMES or match["action"] not in ACTIONS:
        raise ValueError(
            f"{setting!r} is no failpoint; names are {', '.join(NAMES)}; actions are {', '.join(ACTIONS)}; "
            "`name#2:action` is for the second time"
        )
    return _Armed(match["name"], int(match["time"]) if match["time"] else None, match["action"])


def reached() -> int:
    """How often the armed failpoint has been come to."""
    return 0 if _armed is None else _armed.reached


async def reach(name: str) -> None:
    """Do here what the failpoint of this name is set to do."""
    if _armed is not None and _armed.due(name) is not None:
        over = _act(_armed)
        until = time.monotonic() + HANG_SECONDS
        while over is not None and not over.is_set() and time.monotonic() < until:  # noqa: ASYNC110  # set in any thread
            await asyncio.sleep(0.01)


def reach_in_thread(name: str) -> None:
    """The same in a thread, which may be kept waiting."""
    if _armed is not None and _armed.due(name) is not None:
        over = _act(_armed)
        if over is not None:
            over.wait(HANG_SECONDS)


def _act(armed: _Armed) -> threading.Event | None:
    """What the action is; for `hang`, the event to wait for."""
    match armed.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise FailpointError(armed.name)
        case "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return armed.over
