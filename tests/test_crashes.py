"""kill -9 at each step of an upload: nothing is half-visible afterwards, a retry succeeds, the clean-up finds the rest.

Killed are servers of their own, started as operators do; the one in this process is another replica on the same
database and store, and at the end a third one is started where the others had died.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiobotocore.session import get_session

from registry import failpoints
from registry.model import Project
from registry.services import Services
from registry.storage import S3Location, parse_url
from registry.storage.s3_writer import PART
from tests import inventory
from tests.cli.processes import registry, serving
from tests.formats.pypi.forms import CONTENT_TYPE, upload
from tests.formats.pypi.pages import V1_JSON, base
from tests.people import ROOT_TOKEN, People

# More than one part of a multipart upload, so that there is something to leave behind.
CONTENT = bytes(range(256)) * (PART // 256 * 2) + b"the last part"
FILE_NAME = "demo-1.0.zip"
INGEST = [name for name in failpoints.NAMES if name.startswith("ingest.")]
PUBLISH = [name for name in failpoints.NAMES if name.startswith("publish.")]


@pytest.mark.parametrize(
    ("storage_url", "steps"), [("local", INGEST + PUBLISH), ("s3", INGEST)], indirect=["storage_url"]
)
async def test_a_server_killed_at_any_step_of_an_upload_leaves_nothing_half_done(
    people: People, database_url: str, storage_url: str, tmp_path: Path, subtests: pytest.Subtests, steps: list[str]
) -> None:
    settings: dict[str, Any] = {"database_url": database_url, "storage_url": storage_url}
    body = upload(file_name=FILE_NAME, content=CONTENT)
    whole = [(FILE_NAME, CONTENT)]
    projects = []

    for step in steps:
        with subtests.test(step):
            project = await people.project(visibility="public")
            with serving(tmp_path / step, **settings, failpoint=f"{step}:kill") as server:
                with pytest.raises(aiohttp.ClientError):
                    await send(server.port, project, body)
                assert -signal.SIGKILL == await asyncio.to_thread(server.process.wait, 10)
            # Committed is committed, though nobody was told; otherwise nothing is there for anybody.
            assert whole * (step == "publish.after-commit") == await listed(people, project)
            assert 201 == await send(people.client.port, project, body)
            assert whole == await listed(people, project)
            projects.append(project)

    with serving(tmp_path / "again", **settings) as server:
        assert [201] * len(steps) == [await send(server.port, one, body) for one in projects]
    collected = await asyncio.to_thread(registry, "gc", "--grace", "0", "--restore-window", "0", **settings)
    assert (0, "") == (collected.returncode, collected.stderr)
    removed = [line for line in collected.stdout.splitlines() if '"remove"' in line]
    assert len(set(steps) - {"ingest.before-intent", "publish.after-commit"}) == len(removed), collected.stdout
    left = await inventory.take(people.services)
    assert (("demo", "1.0", FILE_NAME),) * len(steps) == left.files
    assert tuple((key, "stored") for key in left.objects) == left.blobs
    assert (len(steps), 0) == (len(left.objects), await unfinished(people.services, storage_url))
    assert [whole] * len(steps) == [await listed(people, project) for project in projects]


async def send(port: int | None, project: Project, body: bytes) -> int:
    """Upload to the server on a port; answers the status."""
    url = f"http://127.0.0.1:{port}{base(project)}"
    headers = {"PRIVATE-TOKEN": ROOT_TOKEN, "Content-Type": CONTENT_TYPE}
    async with aiohttp.ClientSession() as session, session.post(url, data=io.BytesIO(body), headers=headers) as answer:
        return answer.status


async def listed(people: People, project: Project) -> list[tuple[str, bytes]]:
    """Every file that index and page promise, with what its link gives."""
    index = await people.anonymous.get(f"{base(project)}/simple/", headers={"Accept": V1_JSON})
    names = [one["name"] for one in (await index.json(content_type=V1_JSON))["projects"]]
    page = await people.anonymous.get(f"{base(project)}/simple/demo/", headers={"Accept": V1_JSON})
    assert (200 if names else 302) == page.status
    found = []
    for file in (await page.json(content_type=V1_JSON))["files"] if names else ():
        answer = await people.anonymous.get(file["url"].partition(str(people.client.port))[2])
        content = await answer.read()
        assert file["hashes"]["sha256"] == hashlib.sha256(content).hexdigest()
        found.append((file["filename"], content))
    return found


async def unfinished(services: Services, storage_url: str) -> int:
    """What writers left behind besides complete objects: temporary files, or multipart uploads."""
    location = parse_url(storage_url)
    if isinstance(location, S3Location):
        options = {"endpoint_url": location.endpoint_url, "region_name": location.region}
        async with get_session().create_client("s3", **options) as client:
            return len((await client.list_multipart_uploads(Bucket=location.bucket)).get("Uploads", []))
    found = await inventory.take(services)
    return sum(path.is_file() for path in location.root.rglob("*")) - len(found.objects)
