"""OpenStack Swift with its S3 API: a proxy, an account, a container and an object server, and memcached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.replicas.balancer import free_ports
from tests.s3servers import S3Server
from tests.s3servers.running import find, run, started

ADVICE = "apt-get install --no-install-recommends swift-proxy swift-account swift-container swift-object memcached"

_SHARED = "[swift-hash]\nswift_hash_path_suffix = tests\nswift_hash_path_prefix = tests\n"

_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {home}
user = {user}
workers = 0

[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats s3api tempauth copy slo dlo proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true

[filter:tempauth]
use = egg:swift#tempauth
user_tests_tester = secret-of-the-tests .admin

[filter:s3api]
use = egg:swift#s3api
s3_acl = false

[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}

[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""

_STORAGE = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {home}
devices = {home}/devices
mount_check = false
user = {user}
workers = 0

[pipeline:main]
pipeline = {kind}-server

[app:{kind}-server]
use = egg:swift#{kind}
"""


def version() -> str:
    """What its package says."""
    find("swift-proxy-server", ADVICE)
    return "OpenStack Swift " + run("dpkg-query", "--show", "--showformat=${Version}", "swift-proxy").partition("-")[0]


@contextmanager
def serving(home: Path) -> Iterator[S3Server]:
    """Swift for the length of the block."""
    kinds = ("account", "container", "object")
    memcached, proxy, *ports = free_ports(2 + len(kinds))
    user = home.owner()
    (home / "devices" / "d1").mkdir(parents=True)
    (home / "swift.conf").write_text(_SHARED)
    (home / "proxy.conf").write_text(_PROXY.format(port=proxy, home=home, user=user, memcached=memcached))
    # Where Swift looks for swift.conf cannot be set in the configuration files of the servers.
    loader = home / "serve.py"
    loader.write_text(_LOADER.format(home=home))
    with ExitStack() as stack:
        command = [find("memcached", ADVICE), "-u", user, "-l", "127.0.0.1", "-p", str(memcached)]
        stack.enter_context(started(command, home / "memcached.out", port=memcached))
        for kind, port in zip(kinds, ports, strict=True):
            builder = home / f"{kind}.builder"
            run(find("swift-ring-builder", ADVICE), builder, "create", "4", "1", "1")
            run("swift-ring-builder", builder, "add", f"r1z1-127.0.0.1:{port}/d1", "1")
            run("swift-ring-builder", builder, "rebalance")
            conf = home / f"{kind}.conf"
            conf.write_text(_STORAGE.format(kind=kind, port=port, home=home, user=user))
            command = ["/usr/bin/python3", loader, find(f"swift-{kind}-server", ADVICE), conf]
            stack.enter_context(started(command, home / f"{kind}.out", port=port))
        command = ["/usr/bin/python3", loader, find("swift-proxy-server", ADVICE), home / "proxy.conf"]
        stack.enter_context(started(command, home / "proxy.out", port=proxy))
        yield S3Server(f"http://127.0.0.1:{proxy}", "tests:tester", "secret-of-the-tests", frozenset())


_LOADER = """
import runpy
import sys

from swift.common import utils

utils.SWIFT_CONF_FILE = "{home}/swift.conf"
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
