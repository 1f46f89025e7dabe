"""What must not get in: refused with a reason in both keys, nothing stored, and the server goes on."""

from __future__ import annotations

import io
import json
import os

from registry.model import Project
from tests import inventory
from tests.formats.npm import refusals
from tests.formats.npm.documents import a_document, a_tarball
from tests.formats.npm.transcripts import a_publication, packument, path, publish, refused, set_settings
from tests.people import People, Person


async def test_every_one_is_refused_and_leaves_nothing(people: People, developer: Person, project: Project) -> None:
    everything = refusals.everything()
    assert len(everything) == len({one.why for one in everything}) >= 60
    wrong = {}
    for one in everything:
        response = await developer.ask("PUT", path(project, one.name), data=io.BytesIO(one.body))
        answer = (response.status, (await response.text())[:300])
        status, text = await refused(response) if response.status >= 400 else (response.status, "")
        left = await inventory.take(people.services)
        if status != one.status or not text.startswith(one.text) or left != inventory.EMPTY:
            wrong[one.why] = (answer, left)
    assert {} == wrong, "\n".join(f"{k}: {v}"[:700] for k, v in wrong.items())

    await publish(developer, project, "widget", "1.0.0")
    assert ["1.0.0"] == list((await packument(developer, project, "widget"))["versions"])


async def test_a_refusal_changes_nothing_of_what_is_there(people: People, developer: Person, project: Project) -> None:
    await publish(developer, project, "widget", "1.0.0")
    before = (await inventory.take(people.services), await packument(developer, project, "widget"))

    for one in refusals.everything()[::7]:
        await developer.ask("PUT", path(project, one.name), data=io.BytesIO(one.body))

    assert before == (await inventory.take(people.services), await packument(developer, project, "widget"))


async def test_a_file_above_the_limit_is_refused_by_its_length_or_its_bytes(
    people: People, developer: Person, project: Project
) -> None:
    await set_settings(people, None, npm_max_file_size=50_000)
    large = a_document(a_tarball({"name": "widget", "version": "1.0.0"}, {"a": os.urandom(60_000)}), name="widget")

    for body in (large, {**large, "readme": "x" * 40 * 1024 * 1024}):
        sent = io.BytesIO(json.dumps(body).encode())
        status, text = await refused(await developer.ask("PUT", path(project, "widget"), data=sent))
        assert (413, "File is too large: the limit is ") == (status, text[:32])
    assert inventory.EMPTY == await inventory.take(people.services)
    await publish(developer, project, "widget", "1.0.0")


async def test_an_encoded_body_is_not_taken(people: People, developer: Person, project: Project) -> None:
    body = a_publication("widget", "1.0.0")
    for coding in ("gzip", "deflate", "br", "zstd", "x"):
        response = await developer.ask("PUT", path(project, "widget"), json=body, headers={"Content-Encoding": coding})
        assert 415 == (await refused(response))[0], coding
    assert inventory.EMPTY == await inventory.take(people.services)
