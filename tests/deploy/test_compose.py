"""The compose file: parsed, its variables filled in, and held against what it starts."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from aiobotocore.session import get_session

from registry.cli.parser import parser
from registry.settings import Settings, read
from registry.storage import S3Location, parse_url

FILE = Path(__file__).parent.parent.parent / "deploy" / "compose.yaml"
REQUIRED = {"POSTGRES_PASSWORD": "p", "S3_SECRET_KEY": "s", "REGISTRY_ROOT_TOKEN": "glpat-abcdefghij0123456789"}


def compose() -> dict[str, Any]:
    """The file, with variables filled in as compose does."""

    def value(match: re.Match[str]) -> str:
        name, operator, rest = match["name"], match["operator"], match["rest"]
        return REQUIRED[name] if operator == ":?" else rest

    text = re.sub(r"\$\{(?P<name>\w+)(?P<operator>:[-?])(?P<rest>[^}]*)\}", value, FILE.read_text())
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def settings(service: dict[str, Any]) -> Settings:
    return read({name: text for name, text in service["environment"].items() if name.startswith("REGISTRY_")})


def test_nothing_starts_without_its_secrets() -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", FILE.read_text()))

    assert asked == REQUIRED.keys()
    assert not re.search(r"(?i)(password|secret|token)\w*:\s*[\w-]{6,}\s*$", FILE.read_text(), re.MULTILINE)


def test_the_registry_understands_its_environment_and_commands() -> None:
    services = compose()["services"]

    for name in ("registry-1", "registry-2", "migrate", "bucket"):
        assert settings(services[name]).database_url is not None
    location = parse_url(settings(services["registry-1"]).store_url)
    assert isinstance(location, S3Location)
    assert location.endpoint_url == "http://store:8333"
    assert parser().parse_args(services["migrate"]["command"]).run is not None
    for service in (services["registry-1"], services["migrate"], services["nginx"]):
        assert (service["read_only"], service["cap_drop"], service["tmpfs"]) == (True, ["ALL"], ["/tmp"])


def test_replicas_have_the_time_their_settings_give_to_what_is_under_way() -> None:
    for name in ("registry-1", "registry-2"):
        service = compose()["services"][name]
        values = settings(service).model_dump()
        longest = max(seconds for name, seconds in values.items() if name.startswith("shutdown_"))
        assert int(service["stop_grace_period"].removesuffix("s")) >= longest + values.get("drain_seconds", 0) + 15


def test_the_balancer_knows_the_replicas_and_they_believe_it_alone() -> None:
    found = compose()
    services = found["services"]
    upstreams = re.findall(r"server (registry-\d):8080", (FILE.parent / "nginx.conf").read_text())
    addresses = {
        name: one["networks"]["default"]["ipv4_address"] for name, one in services.items() if "networks" in one
    }

    assert upstreams == ["registry-1", "registry-2"]
    assert addresses.keys() == {*upstreams, "nginx"}
    (subnet,) = found["networks"]["default"]["ipam"]["config"]
    assert all(ipaddress.ip_address(one) in ipaddress.ip_network(subnet["subnet"]) for one in addresses.values())
    proxies = settings(services["registry-1"]).proxies()
    assert [ipaddress.ip_address(addresses["nginx"]) in one for one in proxies] == [True]
    assert not any(ipaddress.ip_address(addresses[one]) in network for network in proxies for one in upstreams)


def test_what_a_service_waits_for_is_there() -> None:
    services = compose()["services"]

    for service in services.values():
        waits = service.get("depends_on", {})
        for other in waits:
            assert other in services
            if (
                isinstance(waits, dict)
                and waits[other]["condition"] == "service_healthy"
                and "build" not in services[other]
            ):
                assert "healthcheck" in services[other]
        for source in service.get("volumes", []):
            name = source.partition(":")[0]
            assert name in compose()["volumes"] or (FILE.parent / name).exists()


async def test_the_bucket_is_made_once(s3_endpoint: str) -> None:
    python, flag, script = compose()["services"]["bucket"]["entrypoint"]
    assert (python, flag) == ("python", "-c")
    script = script.replace("http://store:8333", s3_endpoint)
    environment = {"AWS_ACCESS_KEY_ID": "registry", "AWS_SECRET_ACCESS_KEY": "s"}

    for _ in range(2):
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr

    keys = {"aws_access_key_id": "registry", "aws_secret_access_key": "s"}
    async with get_session().create_client("s3", endpoint_url=s3_endpoint, region_name="us-east-1", **keys) as client:
        assert "packages" in [bucket["Name"] for bucket in (await client.list_buckets())["Buckets"]]
