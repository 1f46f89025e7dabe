from __future__ import annotations

import hashlib

import pytest

from registry.access import AccessLevel
from tests.people import People


@pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)
async def test_an_uploaded_file_is_listed_and_comes_back_byte_identical(people: People) -> None:
    project = await people.project()
    developer = await people.member(project, AccessLevel.DEVELOPER)
    content = b"x" * 100_000
    sha256 = hashlib.sha256(content).hexdigest()

    response = await developer.upload(
        project, "my.pypi.package-0.0.1.tar.gz", content, name="my.pypi.package", version="1.3.7"
    )
    assert (201, {"message": "201 Created"}) == (response.status, await response.json())

    base = f"/api/v4/projects/{project.id}/packages/pypi"
    page = await developer.get(f"{base}/simple/my.pypi.package")
    text = await page.text()
    assert 200 == page.status, text
    assert f"files/{sha256}/my.pypi.package-0.0.1.tar.gz#sha256={sha256}" in text
    index = await developer.get(f"{base}/simple/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    assert [{"name": "my.pypi.package"}] == (await index.json(content_type=None))["projects"]
    file = await developer.get(f"{base}/files/{sha256}/my.pypi.package-0.0.1.tar.gz")
    assert content == await file.read()
