"""Outbound: requests to URLs that users chose. They reach public addresses, and what the operator allows, alone.

The address that is checked is the one that is connected to: the resolver of the connector leaves out all others, so
that a name cannot mean something else a moment later. Redirects are not followed by whoever uses this.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import re
import socket
from collections.abc import Sequence

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from registry.threads import BoundedThreads

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL = 2048
# Names looked up at once. One whose server does not answer keeps its thread longer than anybody waits for it.
LOOKUPS = 16
_HOST = re.compile(r"[A-Za-z0-9._:-]+", re.ASCII)
# IPv4 addresses in the clothes of IPv6 (RFC 6052): what counts is who is inside.
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
# What is handed out to anybody (RFC 4291, section 2.4), less the tunnels in it.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


class ForbiddenAddressError(OSError):
    """The host leads to no address that may be reached from here"""

    def __init__(self) -> None:
        # Without the address: what a name means inside is nobody's business.
        super().__init__(self.__doc__)


def may_reach(address: str, allowed: Sequence[Network]) -> bool:
    """Whether an address is public, or in a network that the operator allows."""
    found: Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found in _TRANSLATED:
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    if any(found in network for network in allowed):
        return True
    if isinstance(found, ipaddress.IPv6Address) and (
        found not in _GLOBAL_UNICAST or found.sixtofour is not None or found.teredo is not None
    ):
        return False
    return found.is_global and not found.is_multicast and not found.is_reserved


def problem(url: str, allowed: Sequence[Network]) -> str | None:
    """What is wrong with a URL that a user gives, as it stands; None when it may be tried."""
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        return f"must be printable ASCII of at most {MAX_URL} characters"
    try:
        # As the client reads it that will send the request.
        parts = URL(url)
        # A label like `xn--` is read only here.
        host = parts.host or ""
    except ValueError:
        return "is no URL"
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(host) or not parts.port:
        return "must be an http or https URL with a host"
    if parts.user is not None or parts.password is not None or parts.fragment:
        return "must have no credentials and no fragment"
    try:
        literal = may_reach(host, allowed)
    except ValueError:
        # `127.1`, `0177.0.0.1`, `2130706433`: no name, but an address to some resolvers.
        return "is an address in a form that is not taken" if host.replace(".", "").isdigit() else None
    return None if literal else "is an address that may not be reached from here"


def connector(allowed: Sequence[Network], *, limit: int) -> aiohttp.TCPConnector:
    """What makes connections to reachable addresses only. A URL with an address in it is to be checked by `problem`.

    A request raises TooBusy when too many names are being looked up.
    """
    return aiohttp.TCPConnector(resolver=_Resolver(allowed), use_dns_cache=False, force_close=True, limit=limit)


class _Resolver(AbstractResolver):
    """Looks names up in threads of its own: those of the event loop serve the database and the store, too.

    Users choose these names, and so how slow their servers are.
    """

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed
        self._threads = BoundedThreads(LOOKUPS, jobs=LOOKUPS)

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        look_up = functools.partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        except UnicodeError as error:
            # A label that is empty or too long for the name system.
            raise OSError("no name of a host") from error
        reachable = [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
            if may_reach(str(address[0]), self._allowed)
        ]
        if not reachable:
            raise ForbiddenAddressError
        return reachable

    async def close(self) -> None:
        self._threads.shutdown(wait=False)
