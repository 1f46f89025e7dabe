"""Limits: how often somebody may ask. GitLab's throttles, off until switched on, and one of failed sign-ins, always on.

Requests are counted per process, in windows that begin at the multiples of their length (as rack-attack counts them):
an installation of several workers or replicas lets through as many times the limit. The counts fit in some megabytes,
whoever asks.
"""

from __future__ import annotations

import functools
import ipaddress
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from registry import metrics
from registry.access import Actor
from registry.errors import TooBusy
from registry.server.parameters import Parameter

# GitLab's throttles that concern us: requests and seconds, where an administrator chose no others.
THROTTLES: Mapping[str, tuple[int, int]] = {
    "throttle_unauthenticated_api": (3600, 3600),
    "throttle_authenticated_api": (7200, 3600),
    "throttle_unauthenticated_packages_api": (800, 15),
    "throttle_authenticated_packages_api": (1000, 15),
}

# The same as settings: GitLab's names for them.
DEFAULTS: Mapping[str, bool | int] = {
    **{f"{name}_enabled": False for name in THROTTLES},
    **{f"{name}_requests_per_period": requests for name, (requests, _) in THROTTLES.items()},
    **{f"{name}_period_in_seconds": seconds for name, (_, seconds) in THROTTLES.items()},
}
PARAMETERS = tuple(
    Parameter(name, "boolean", "whether this limit is on", nullable=True)
    if name.endswith("_enabled")
    else Parameter(name, "integer", f"{value} by default", nullable=True, least=1, most=2**31 - 1)
    for name, value in DEFAULTS.items()
)

QUOTA_HEADERS: Mapping[str, str] = {
    "RateLimit-Limit": "requests that a caller has per minute",
    "RateLimit-Name": "the limit that this is about",
    "RateLimit-Observed": "requests of the caller in this period",
    "RateLimit-Remaining": "requests that are left in this period",
    "RateLimit-Reset": "when the period ends, in Unix time",
}

# Different secrets that nobody knows, from one address: after that many, one that was not seen there before is refused
# unseen. The same one again, as misconfigured jobs show it, is no guess, and neither is a token that once was good.
MOST_GUESSES = 10
GUESS_SECONDS = 60

# More clients than this in one window, and it starts again: strangers are rather let in than shut out.
_MOST_CLIENTS = 50_000
# Bits of an IPv6 address that are one subscriber's, and of one site, which may have as many networks as it likes.
_SUBSCRIBER = 64
_SITE = 48


T = TypeVar("T")


class RateLimited(TooBusy):
    """429 Too Many Requests

    `headers` say which limit it was, and when it is over.
    """

    def __init__(self, text: str | None = None, *, retry_after: int, headers: Mapping[str, str]) -> None:
        super().__init__(text or "429 Too Many Requests", retry_after=retry_after)
        self.headers = headers


class _Window(Generic[T]):
    """Something about each client that was seen since the window began."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._number = 0
        self._clients: dict[Hashable, T] = {}

    def clients(self, now: float) -> dict[Hashable, T]:
        """What to look at and change; another dictionary once the window is over."""
        number = int(now // self._seconds)
        if number != self._number or len(self._clients) >= _MOST_CLIENTS:
            self._number, self._clients = number, {}
        return self._clients

    @property
    def ends(self) -> int:
        """When it does, in Unix time."""
        return (self._number + 1) * self._seconds


@dataclass(frozen=True, slots=True)
class _Throttle:
    """At most `requests` in `seconds`, and what was counted."""

    name: str
    requests: int
    seconds: int
    window: _Window[int]

    def count(self, client: Hashable) -> dict[str, str]:
        """Note a request: the headers that tell its client. Raises RateLimited.

        `RateLimit-Limit` is per minute, whatever the period (GitLab: rate limits, response headers).
        """
        now = time.time()
        clients = self.window.clients(now)
        seen = clients[client] = clients.get(client, 0) + 1
        values = (
            -(-self.requests * 60 // self.seconds), self.name, seen, max(0, self.requests - seen), self.window.ends,
        )  # fmt: skip
        headers = dict(zip(QUOTA_HEADERS, map(str, values), strict=True))
        if seen > self.requests:
            metrics.rate_limited.labels(self.name).inc()
            raise RateLimited(retry_after=max(1, self.window.ends - int(now)), headers=headers)
        return headers


class Limits:
    """The limits of one process.

    `active` says whether requests are counted at all, `guessing` whether some address has tried too many tokens.
    """

    def __init__(self, most_guesses: int = MOST_GUESSES) -> None:
        self.active = False
        self.guessing = False
        self._most_guesses = most_guesses
        self._settings: Mapping[str, object] | None = None
        self._throttles: dict[str, _Throttle] = {}
        self._guesses = _Window[set[int]](GUESS_SECONDS)
        self._good: dict[tuple[str, int], None] = {}

    def configure(self, settings: Mapping[str, object]) -> None:
        """Go by these settings of the instance. What was counted for a limit that stays as it was stays counted."""
        if settings is self._settings:
            return
        self._settings = settings
        chosen = {}
        for name, (requests, seconds) in THROTTLES.items():
            if settings.get(f"{name}_enabled") is True:
                requests = _number(settings.get(f"{name}_requests_per_period"), requests)  # noqa: PLW2901
                seconds = _number(settings.get(f"{name}_period_in_seconds"), seconds)  # noqa: PLW2901
                old = self._throttles.get(name)
                window = old.window if old is not None and old.seconds == seconds else _Window(seconds)
                chosen[name] = _Throttle(name, requests, seconds, window)
        self._throttles = chosen
        self.active = bool(chosen)

    def count(self, actor: Actor, address: str | None, *, packages: bool) -> dict[str, str]:
        """Note a request to a package API or to the management API: the headers that tell its client.

        A caller is limited as user or deploy token, else by address. The limit of the package APIs, where it is on,
        takes the place of the general one (GitLab: package registry rate limits). Raises RateLimited.
        """
        kind = "unauthenticated" if actor.is_anonymous else "authenticated"
        throttle = self._throttles.get(f"throttle_{kind}_packages_api") if packages else None
        throttle = throttle or self._throttles.get(f"throttle_{kind}_api")
        if throttle is None:
            return {}
        return throttle.count(subscriber(address) if actor.is_anonymous else (actor.kind, actor.id))

    def check_secret(self, address: str | None, secret: str) -> None:
        """Raise RateLimited where too many guesses came from and this may be one more, before it is looked at.

        A secret that was good there goes on, and so does one that was refused there already. Ask only while `guessing`.
        """
        guesses = self._guesses.clients(time.time())
        if not guesses:
            self.guessing = False
            return
        client, shown = subscriber(address), hash(secret)
        known = guesses.get(client, ())
        if secret and len(known) >= self._most_guesses and shown not in known and (client, shown) not in self._good:
            raise self._guessed_too_often()

    def failed_sign_in(self, address: str | None, secret: str) -> None:
        """Note a secret that nobody knows. Raises RateLimited after too many others."""
        known = self._guesses.clients(time.time()).setdefault(subscriber(address), set())
        guess = hash(secret)
        if guess in known:
            return
        if len(known) >= self._most_guesses:  # others were under way at the same time
            raise self._guessed_too_often()
        known.add(guess)
        self.guessing = self.guessing or len(known) >= self._most_guesses

    def signed_in(self, address: str | None, secret: str) -> None:
        """Note a secret that is good, or once was."""
        shown = (subscriber(address), hash(secret))
        if shown not in self._good:
            if len(self._good) >= _MOST_CLIENTS:
                del self._good[next(iter(self._good))]
            self._good[shown] = None

    def _guessed_too_often(self) -> RateLimited:
        metrics.rate_limited.labels("failed_sign_in").inc()
        text = "429 Too Many Requests - too many unknown tokens were tried from this address"
        return RateLimited(text, retry_after=max(1, self._guesses.ends - int(time.time())), headers={})


@functools.lru_cache(maxsize=4096)
def subscriber(address: str | None) -> str:
    """Who is counted as one: an address of IPv4, a network of IPv6, of which everybody has all addresses."""
    return _network(address, _SUBSCRIBER)


def site(address: str | None) -> str:
    """The same as wide as the networks of IPv6 that whole sites are given."""
    return _network(address, _SITE)


def _network(address: str | None, bits: int) -> str:
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed) >> 128 - bits << 128 - bits, bits)))


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) and value > 0 else default
