"""Metrics: the only module that names Prometheus. Labels are route templates and closed sets, never names or paths."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

REGISTRY = CollectorRegistry()
CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

requests = Counter("registry_http_requests", "Requests answered", ["route", "method", "code"], registry=REGISTRY)
request_seconds = Histogram(
    "registry_http_request_seconds", "Time from route to answer", ["route"], buckets=_SECONDS, registry=REGISTRY
)
publishes = Counter("registry_publish", "Publishes by outcome", ["format", "outcome"], registry=REGISTRY)
upload_bytes = Counter("registry_upload_bytes", "Bytes received into the store", registry=REGISTRY)
upload_budget = Gauge("registry_upload_budget_bytes", "Memory reserved by uploads in flight", registry=REGISTRY)
uploads_waiting = Gauge("registry_uploads_waiting", "Uploads in line for memory", registry=REGISTRY)
document_cache = Counter("registry_document_cache", "Document look-ups by result", ["result"], registry=REGISTRY)
document_bytes = Gauge("registry_document_cache_bytes", "Bytes of rendered documents in memory", registry=REGISTRY)
lookups = Counter("registry_lookups", "Answers from memory or from Postgres", ["kind", "result"], registry=REGISTRY)
changes_seen = Gauge("registry_changes_seen", "Number of the newest change seen", registry=REGISTRY)
polls = Counter("registry_change_polls", "Polls of the change log", ["result"], registry=REGISTRY)
database_errors = Counter("registry_db_errors", "Database calls that failed", ["error"], registry=REGISTRY)
store_seconds = Histogram(
    "registry_store_op_seconds", "Object store operations", ["operation"], buckets=_SECONDS, registry=REGISTRY
)
store_open = Gauge(
    "registry_store_breaker_open", "1 while nothing is asked of the object store because it failed", registry=REGISTRY
)
store_openings = Counter(
    "registry_store_breaker_openings", "Times the object store was left alone because it failed", registry=REGISTRY
)
janitor_removed = Counter("registry_janitor_removed", "What the janitor removed", ["kind"], registry=REGISTRY)
janitor_runs = Counter("registry_janitor_runs", "Turns of the janitor", ["result"], registry=REGISTRY)
hook_deliveries = Counter("registry_hook_deliveries", "Attempts to tell a webhook", ["result"], registry=REGISTRY)
malformed = Counter("registry_http_malformed", "Requests that were not HTTP", registry=REGISTRY)
slow_heads = Counter("registry_http_slow_heads", "Connections closed for want of a request", registry=REGISTRY)
slow_clients = Counter(
    "registry_http_slow_clients", "Clients given up for sending or taking a body too slowly", registry=REGISTRY
)
auth = Counter("registry_auth", "Credentials presented", ["scheme", "result"], registry=REGISTRY)
rate_limited = Counter("registry_ratelimited", "Requests refused by a limit", ["rule"], registry=REGISTRY)
loop_lag = Gauge("registry_loop_lag_seconds", "How late the event loop ran its last tick", registry=REGISTRY)
build_info = Gauge("registry_build_info", "Version of the server", ["version"], registry=REGISTRY)
# CPU, memory and file descriptors, under the names every exporter gives them.
ProcessCollector(registry=REGISTRY)


def exposition() -> bytes:
    """The text format, of this process."""
    return generate_latest(REGISTRY)


def merged(expositions: Mapping[int, bytes]) -> bytes:
    """The text format of several workers: each sample with a label that says of which `worker` it is.

    Added up here, a counter would seem to fall whenever one of them is replaced.
    """
    families: dict[str, list[str]] = {}
    for number, text in expositions.items():
        samples: list[str] = []
        for line in text.decode().splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "#":
                what, name, _ = rest.split(" ", 2)
                samples = families.setdefault(name, [])
                if what not in {known.split(" ", 2)[1] for known in samples if known.startswith("# ")}:
                    samples.append(line)
            else:
                samples.append(_labelled(line, number))
    return "".join(f"{line}\n" for samples in families.values() for line in samples).encode()


def _labelled(sample: str, worker: int) -> str:
    name, brace, rest = sample.partition("{")
    if brace and " " not in name:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'
