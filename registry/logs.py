"""Logs: one JSON object per line on stderr, or plain lines for a person at a terminal. Never a secret.

Callers leave secrets out; what slips in with a library's message or an exception's text is taken out here: tokens,
credentials in headers and URLs, and the query of every URL (it may hold a token or a signature).
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from typing import IO

import orjson

# What a LogRecord has by itself; the rest of its fields came as `extra`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# Fields that are never written, whoever passed them.
_SECRET = re.compile(r"(?i)authorization|cookie|location|password|secret|token\b|private.token|deploy.token|job.token")
# Libraries that tell headers and bodies when they are asked for more.
_TALKATIVE = ("aiobotocore", "aiohttp", "asyncio", "botocore", "boto3", "urllib3")

_REMOVED = "[removed]"
# Between a name and its value, in headers, queries, dictionaries and bytes literals.
_IS = r"(['\"]?\s*[:=]\s*(?:b?['\"])?)"
_SCRUBBED = (
    (re.compile(r"\bgl[a-z]{1,6}-[\w.=-]{8,}"), _REMOVED),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{4,}"), rf"\1 {_REMOVED}"),
    (re.compile(rf"(?i)\b(authorization|(?:set-)?cookie){_IS}[^'\"\r\n]+"), rf"\1\2{_REMOVED}"),
    (re.compile(rf"(?i)\b(location|[a-z]+[-_]token|token|password){_IS}[^\s'\"&,;)]+"), rf"\1\2{_REMOVED}"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@'\"]*@"), rf"\1{_REMOVED}@"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?'\"]*|(?<![\w?])/[^\s?'\"]*)\?[^\s'\"]+"), rf"\1?{_REMOVED}"),
)
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_CONTROL_BUT_NEWLINE = {code: text for code, text in _CONTROL.items() if code != 0x0A}


def configure(level: str, *, stream: IO[str] | None = None) -> None:
    """Send all logs of this process to `stream` (stderr), from `level` (`debug` to `error`) on.

    Libraries are heard from `warning` on. Python's own warnings are logged as well.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainFormatter() if stream.isatty() else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for library in _TALKATIVE:
        logging.getLogger(library).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)


def scrub(text: str) -> str:
    """The text without tokens, credentials and URL queries; what cannot be UTF-8 is escaped."""
    text = text.encode("utf-8", "backslashreplace").decode()
    for pattern, replacement in _SCRUBBED:
        text = pattern.sub(replacement, text)
    return text


class JsonFormatter(logging.Formatter):
    """One object per line: `time` (ISO 8601, UTC), `level`, `logger`, `message`, the extra fields, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line. JSON escapes what would break it."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": scrub(record.getMessage()),
        }
        for name, value in _fields(record):
            line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = scrub(self.formatException(record.exc_info))
        return _escaped(orjson.dumps(line, default=repr, option=orjson.OPT_NON_STR_KEYS))


class PlainFormatter(logging.Formatter):
    """For a person: time, level, message, the extra fields, and a traceback on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line or lines, without control characters, which could move a terminal's cursor."""
        fields = "".join(f"  {name}={value}" for name, value in _fields(record))
        line = f"{_time(record)[11:19]} {record.levelname.lower():<7} {scrub(record.getMessage())}{fields}"
        line = line.translate(_CONTROL)
        if record.exc_info:
            line += "\n" + scrub(self.formatException(record.exc_info)).translate(_CONTROL_BUT_NEWLINE)
        return line


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> list[tuple[str, object]]:
    return [
        (name, value if value is None or isinstance(value, bool | int | float) else scrub(str(value)))
        for name, value in vars(record).items()
        if name not in _OWN and not _SECRET.search(name)
    ]


def _escaped(line: bytes) -> str:
    # JSON leaves the C1 controls and DEL as they are; some terminals obey them.
    return re.sub(r"[\x7f-\x9f]", lambda match: f"\\u{ord(match[0]):04x}", line.decode())
