"""Deliveries: tells hooks what happened, each in order, at least once, one replica at a time.

What is to be told was written in the transaction of the change. A replica takes the turn of a hook by writing until
when it is busy, in one statement, so that nothing is held meanwhile and a pooler may stand in between; the turn of a
replica that died is over at that time. A failure is followed by pauses that double; a hook that fails too often in
a row, or for which too much waits, is disabled, and what waited for it is given up, until somebody sends it again.

The signature is that of Standard Webhooks 1.0; the other headers are GitLab's.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import random
import time
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import aiohttp
import orjson

from registry import __version__, metrics, outbound
from registry.db import hooks
from registry.db.connection import Database
from registry.db.hooks import Claim, Outcome
from registry.errors import RegistryError, TooBusy
from registry.settings import Settings

log = logging.getLogger(__name__)

# An attempt, from the resolving of the name to the end of the answer.
ATTEMPT_SECONDS = 10.0
# More than an attempt and its bookkeeping take.
TURN = timedelta(seconds=30)
# How soon a replica without work looks for some.
IDLE_SECONDS = 1.0
AT_ONCE = 8
# Of these and those of other replicas, for one top-level group or user: one slow receiver delays its own people.
AT_ONCE_EACH = 2
# Pauses: 10 s, 20 s, ... 6 h at most; with this many failures in a row about 16 hours.
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 6 * 3600.0
MOST_FAILURES = 13
# When there is no thread to look a name up in, or none at all.
BUSY_PAUSE = timedelta(seconds=5)
# What may wait for a hook before it is given up.
MOST_PENDING = 10_000
# An endpoint that says it is gone is believed (Standard Webhooks).
GONE = 410

MOST_BODY = 1024 * 1024
MOST_ANSWER = 4096
KEPT = timedelta(days=7)
_TIDY_SECONDS = 60.0
# How long nothing is looked for after what should not happen.
_FAULT_SECONDS = 30.0


async def work(db: Database, settings: Settings, *, idle_seconds: float = IDLE_SECONDS) -> None:
    """Deliver, for ever; several hooks at once, one event of each at a time."""
    free = asyncio.Semaphore(AT_ONCE)
    async with (
        aiohttp.ClientSession(
            connector=outbound.connector(settings.hook_ranges(), limit=AT_ONCE),
            timeout=aiohttp.ClientTimeout(total=ATTEMPT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        ) as session,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(_tidy(db))

        async def attend(claimed: Claim) -> None:
            try:
                await deliver(db, session, settings, claimed)
            except RegistryError as error:
                # Told, perhaps, and not written down: it is told again when this turn is over.
                log.warning("The outcome of a delivery could not be stored: %s", error.text)
            except Exception:
                # Nobody waits for this task: whatever one delivery met is told, and the others go on.
                log.exception("A delivery failed")
            finally:
                free.release()

        while True:
            await free.acquire()
            claimed = await _claim(db)
            if claimed is None:
                free.release()
                await asyncio.sleep(idle_seconds * random.uniform(0.5, 1.5))  # noqa: S311  # not a secret
            else:
                tasks.create_task(attend(claimed))


async def _claim(db: Database) -> Claim | None:
    try:
        return await hooks.claim(db, TURN, AT_ONCE_EACH)
    except RegistryError:
        return None
    except Exception:
        # Nobody waits for this task, and there may be no such table for a while: before a migration, in a restore.
        log.exception("Deliveries stopped, they go on in a while")
        await asyncio.sleep(_FAULT_SECONDS)
        return None


async def deliver(db: Database, session: aiohttp.ClientSession, settings: Settings, claimed: Claim) -> None:
    """Tell one event, once, and write down what became of it. Raises Unavailable when that could not be stored."""
    started = time.monotonic()
    status, answer, fault = None, "", outbound.problem(claimed.url, settings.hook_ranges())
    if fault is None:
        try:
            status, answer = await _send(session, settings, claimed)
        except TimeoutError:
            fault = f"no answer within {ATTEMPT_SECONDS:g} s"
        except TooBusy:
            # This is not the hook's failure.
            metrics.hook_deliveries.labels("put_off").inc()
            await hooks.put_off(db, claimed, BUSY_PAUSE)
            return
        except (aiohttp.ClientError, OSError) as error:
            fault = _words(error)
        except Exception:
            # A failure like any other: what is tried for ever is in the way of what follows.
            log.exception("An event could not be sent")
            fault = "the request could not be made"
    else:
        fault = f"the URL {fault}"
    outcome = judge(claimed.failures, status, answer, fault or "", time.monotonic() - started)
    metrics.hook_deliveries.labels("ok" if outcome.state == "delivered" else "failed").inc()
    await hooks.settle(db, claimed, outcome)


def judge(failures: int, status: int | None, answer: str, fault: str, duration: float) -> Outcome:
    """What an attempt means after so many failures in a row. Only 2xx is success; a redirect is not followed."""
    if status is not None and 200 <= status < 300:
        return Outcome(state="delivered", status=status, body=answer, error="", duration=duration, failures=0,
                       disabled=False, pause=timedelta())  # fmt: skip
    disabled = status == GONE or failures + 1 >= MOST_FAILURES
    return Outcome(
        state="failed" if disabled else "pending",
        status=status,
        body=answer,
        error=fault,
        duration=duration,
        failures=failures + 1,
        disabled=disabled,
        pause=timedelta(seconds=pause(failures + 1)),
    )


def pause(failures: int) -> float:
    """Seconds until the next attempt, between four and six fifths of the doubled one."""
    return min(FIRST_PAUSE * 2.0 ** (failures - 1), LONGEST_PAUSE) * random.uniform(0.8, 1.2)  # noqa: S311


def message_id(of: UUID) -> str:
    """The name of an event for those who hear of it."""
    return f"msg_{of.hex}"


def body_of(claimed: Claim) -> bytes:
    """What is sent: the payload with the event's id. The details of a change that are too many are left out."""
    body = orjson.dumps({"id": message_id(claimed.message_id), **claimed.payload})
    if len(body) > MOST_BODY:
        few = {name: value for name, value in claimed.payload["package"].items() if isinstance(value, str | int)}
        body = orjson.dumps(
            {"id": message_id(claimed.message_id), **claimed.payload, "package": few, "truncated": True}
        )
    return body


def headers_of(claimed: Claim, body: bytes, base_url: str, now: int) -> Mapping[str, str]:
    """The headers of an attempt at a time (Unix seconds). The id is the same in every attempt."""
    named = message_id(claimed.message_id)
    key = base64.b64decode(claimed.signing_token.partition("_")[2])
    signed = hmac.new(key, f"{named}.{now}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"package-registry/{__version__}",
        "webhook-id": named,
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
        "Idempotency-Key": named,
        "X-Gitlab-Event": "Package Hook",
        "X-Gitlab-Instance": base_url,
    }
    if claimed.token:
        headers["X-Gitlab-Token"] = claimed.token
    return headers


async def _send(session: aiohttp.ClientSession, settings: Settings, claimed: Claim) -> tuple[int, str]:
    body = await asyncio.to_thread(body_of, claimed)
    async with session.post(
        claimed.url,
        data=body,
        headers=headers_of(claimed, body, settings.base_url, int(time.time())),
        allow_redirects=False,
        ssl=claimed.enable_ssl_verification,
    ) as response:
        answer = b""
        while len(answer) < MOST_ANSWER and (chunk := await response.content.read(MOST_ANSWER - len(answer))):
            answer += chunk
        # Postgres stores no NUL.
        return response.status, answer.decode("utf-8", "replace").replace("\0", "\ufffd")


def _words(error: aiohttp.ClientError | OSError) -> str:
    """Why there was no answer, without addresses and what else a library says."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, outbound.ForbiddenAddressError):
        return str(error.os_error)
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "the host is not known"
        case aiohttp.ClientConnectorCertificateError():
            return "the certificate of the host is not trusted"
        case aiohttp.ClientConnectorSSLError():
            return "the host does not speak TLS"
        case aiohttp.InvalidURL():
            return "the URL names no host"
        case aiohttp.ClientConnectorError():
            return "the host does not accept a connection"
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return "the answer is not HTTP"
        case _:
            return "the connection was lost"


async def _tidy(db: Database) -> None:
    """Now and then: give up hooks that cannot follow, remove deleted ones, and forget what was told long ago."""
    while True:
        await asyncio.sleep(_TIDY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
        try:
            await tidy(db)
        except RegistryError as error:
            log.warning("Hooks and their old events could not be tidied up: %s", error.text)
        except Exception:
            log.exception("Hooks and their old events could not be tidied up")


async def tidy(db: Database) -> None:
    """Disable hooks for which too much waits, remove deleted ones and old events, a piece per transaction."""
    for hook_id in await hooks.disable_full(db, MOST_PENDING):
        log.warning("Hook %d is disabled: more than %d events waited for it", hook_id, MOST_PENDING)
    while await hooks.bury(db):
        pass
    while await hooks.trim(db, KEPT):
        pass
