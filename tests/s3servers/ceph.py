"""Ceph's object gateway, on one monitor and one storage daemon that keeps everything in memory."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.replicas.balancer import free_ports
from tests.s3servers import S3Server
from tests.s3servers.running import find, run, started

ADVICE = "apt-get install --no-install-recommends ceph-mon ceph-osd radosgw"

_SETTINGS = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon}/0]
keyring = {home}/$name.keyring
run dir = {home}
admin socket = {home}/$name.asok
pid file =
log file = {home}/$name.log
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 2
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 4294967296
ms bind ipv6 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1

[mon.a]
mon data = {home}/mon
public addr = 127.0.0.1

[osd.0]
osd data = {home}/osd

[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{gateway}
rgw data = {home}/rgw
rgw thread pool size = 16
"""


def version() -> str:
    """What it says of itself."""
    return "Ceph RGW " + run(find("radosgw", ADVICE), "--version").split()[2]


@contextmanager
def serving(home: Path) -> Iterator[S3Server]:
    """The gateway for the length of the block."""
    for name in ("ceph", "ceph-authtool", "monmaptool", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin"):
        find(name, ADVICE)
    fsid = str(uuid.uuid4())
    mon, gateway = free_ports(2)
    conf = home / "ceph.conf"
    conf.write_text(_SETTINGS.format(fsid=fsid, home=home, mon=mon, gateway=gateway))
    for name in ("mon", "osd", "rgw"):
        (home / name).mkdir()
    with ExitStack() as stack:
        _start_monitor(home, conf, fsid, mon, stack)
        _start_storage(home, conf, stack)
        _make_key(home, conf, "client.rgw.a", "allow rw", "allow rwx")
        command = ["radosgw", "-f", "-c", conf, "-n", "client.rgw.a"]
        stack.enter_context(started(command, home / "rgw.out", port=gateway))
        server = S3Server(f"http://127.0.0.1:{gateway}", "AKIDOFTHETESTS", "secret/of+the/tests", frozenset({"put"}))
        keys = ("--access-key", server.access_key, "--secret-key", server.secret_key)
        run("radosgw-admin", "-c", conf, "user", "create", "--uid", "tests", "--display-name", "Tests", *keys)
        yield server


def _start_monitor(home: Path, conf: Path, fsid: str, port: int, stack: ExitStack) -> None:
    ours, admin = home / "mon.a.keyring", home / "client.admin.keyring"
    run("ceph-authtool", "--create-keyring", ours, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    caps = ("--cap", "mon", "allow *", "--cap", "osd", "allow *")
    run("ceph-authtool", "--create-keyring", admin, "--gen-key", "-n", "client.admin", *caps)
    run("ceph-authtool", ours, "--import-keyring", admin)
    run("monmaptool", "--create", "--addv", "a", f"[v2:127.0.0.1:{port}]", "--fsid", fsid, home / "monmap")
    run("ceph-mon", "-c", conf, "--mkfs", "-i", "a", "--monmap", home / "monmap", "--keyring", ours)
    stack.enter_context(started(["ceph-mon", "-f", "-c", conf, "-i", "a"], home / "mon.out", port=port))


def _start_storage(home: Path, conf: Path, stack: ExitStack) -> None:
    identity = str(uuid.uuid4())
    run("ceph", "-c", conf, "--connect-timeout", "30", "osd", "new", identity)
    _make_key(home, conf, "osd.0", "allow profile osd", "allow *")
    run("ceph-osd", "-c", conf, "--mkfs", "-i", "0", "--osd-uuid", identity)
    stack.enter_context(started(["ceph-osd", "-f", "-c", conf, "-i", "0"], home / "osd.out"))


def _make_key(home: Path, conf: Path, name: str, mon: str, osd: str) -> None:
    caps = ("mon", mon, "osd", osd)
    run("ceph", "-c", conf, "auth", "get-or-create", name, *caps, "-o", home / f"{name}.keyring")
