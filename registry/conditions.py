"""Conditions: what a client demands of a thing before it is changed (RFC 9110, section 13)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from registry.errors import PreconditionFailed


def unmodified_since(header: str | None) -> datetime | None:
    """The time in an If-Unmodified-Since header, an HTTP date or ISO 8601 (GitLab takes both), aware.

    None without one, and for what is no time: that is ignored.
    """
    if not header:
        return None
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = parse(header.strip())
        except (ValueError, OverflowError):
            continue
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return None


def require_unmodified(changed_at: datetime, since: datetime | None) -> None:
    """Raise PreconditionFailed for what was changed after `since`, which counts in whole seconds."""
    if since is not None and changed_at.replace(microsecond=0) > since:
        raise PreconditionFailed
