"""Audit reports: the answers when nothing is known against any package."""

from __future__ import annotations

import orjson

_SEVERITIES = ("info", "low", "moderate", "high", "critical")

# `advisories/bulk`: advisories by package name. GitLab answers a list; npm 7 and later expect an object.
BULK = b"{}"

# `audits/quick` and `audits`: what npm 6 and pnpm 10 read.
QUICK = orjson.dumps(
    {
        "actions": [],
        "advisories": {},
        "muted": [],
        "metadata": {
            "vulnerabilities": dict.fromkeys(_SEVERITIES, 0),
            "dependencies": 0,
            "devDependencies": 0,
            "optionalDependencies": 0,
            "totalDependencies": 0,
        },
    }
)
