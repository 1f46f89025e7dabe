"""The page that signs a package client in, as a browser uses it."""

from __future__ import annotations

import re

from aiohttp import ClientResponse
from yarl import URL

from tests.people import People, Person


async def open_page(people: People, url: str) -> str:
    """Open the page; answers the guard in its form. The cookie is kept by the client."""
    page = await people.anonymous.get(URL(url).path)
    text = await page.text()
    assert 200 == page.status, text
    found = re.search(r'name="guard" value="([^"]+)"', text)
    assert found is not None, text
    return found[1]


async def send_form(people: People, url: str, **fields: str) -> ClientResponse:
    """Send the form of the page."""
    return await people.anonymous.ask("POST", URL(url).path, data=fields)


async def confirm_sign_in(people: People, url: str, person: Person) -> None:
    """Let the client in as a person."""
    answer = await send_form(people, url, guard=await open_page(people, url), token=person.token or "")
    assert 200 == answer.status, await answer.text()
