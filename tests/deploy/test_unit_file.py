"""The systemd unit, read by systemd's own checker."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from registry.cli.supervisor import KILL_SECONDS
from registry.embedded.programs import STOP_SECONDS
from registry.settings import read

FILE = Path(__file__).parent.parent.parent / "deploy" / "registry.service"


def unit() -> configparser.RawConfigParser:
    parsed = configparser.RawConfigParser(strict=False)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    parsed.read_string(FILE.read_text())
    return parsed


def test_the_registry_is_told_first_and_has_the_time_its_settings_give() -> None:
    service = unit()["Service"]
    values = read({"REGISTRY_DATA_DIR": "/var/lib/registry"}).model_dump()
    longest = max(seconds for name, seconds in values.items() if name.startswith("shutdown_"))

    # With another kill mode Postgres would be told to stop together with what still uses it.
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) >= longest + values.get("drain_seconds", 0) + KILL_SECONDS
    assert int(service["TimeoutStopSec"]) >= values["shutdown_seconds"] + KILL_SECONDS + STOP_SECONDS
    assert service["ExecStart"].split()[1:] == ["serve"]
    assert "Environment=REGISTRY_DATA_DIR=/var/lib/registry" in FILE.read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_understands_it_and_finds_it_confined(tmp_path: Path) -> None:
    copy = tmp_path / "registry.service"
    copy.write_text(FILE.read_text().replace("/opt/registry/bin/registry", "/bin/true"))

    verified = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    # The exposure, from 0 to 100; what is left is mostly that it uses the network.
    rated = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", copy],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (verified.returncode, verified.stderr) == (0, "")
    assert rated.returncode == 0, rated.stdout
