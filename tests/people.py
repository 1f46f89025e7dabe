"""People of tests: users with a role in a project, and what they do."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientResponse, FormData, encode_basic_auth
from aiohttp.test_utils import TestClient
from yarl import URL

from registry import accounts, tree
from registry.access import SYSTEM, AccessLevel
from registry.db.instance import Author
from registry.model import Group, Project
from registry.services import Services

ROOT_TOKEN = "glpat-root-token-of-the-tests"
OPERATOR = Author(SYSTEM)

_numbers = itertools.count(1)


@dataclass
class Person:
    """Somebody with a token (or none), asking the server under test."""

    client: TestClient
    token: str | None = None
    user_id: int | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def auth(self) -> dict[str, Any]:
        headers = dict(self.headers)
        if self.token is not None:
            headers.setdefault("PRIVATE-TOKEN", self.token)
        return {"headers": headers}

    async def ask(self, method: str, path: str | URL, **options: Any) -> ClientResponse:
        headers = {**self.auth()["headers"], **options.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, allow_redirects=False, **options)

    async def get(self, path: str | URL, **options: Any) -> ClientResponse:
        return await self.ask("GET", path, **options)

    async def upload(
        self, project: Project, file_name: str, content: bytes, *, name: str, version: str, **fields: str
    ) -> ClientResponse:
        """What twine does."""
        # Names as they are, not percent-encoded: like every other client.
        form = FormData(quote_fields=False)
        for key, value in {":action": "file_upload", "name": name, "version": version, **fields}.items():
            form.add_field(key, value)
        form.add_field("content", content, filename=file_name, content_type="application/octet-stream")
        return await self.ask("POST", f"/api/v4/projects/{project.id}/packages/pypi", data=form)


class People:
    """Makes users, groups and projects directly through the kernel."""

    def __init__(self, services: Services, client: TestClient) -> None:
        self.services = services
        self.client = client
        self.anonymous = Person(client)
        self.root = Person(client, ROOT_TOKEN)

    async def user(self, *, scopes: tuple[str, ...] = ("api",), admin: bool = False) -> Person:
        number = next(_numbers)
        db = self.services.db
        user = await accounts.create_user(
            db, OPERATOR, username=f"user{number}", name=f"User {number}", email=f"u{number}@example.com", admin=admin
        )
        _, token = await accounts.create_personal_access_token(db, OPERATOR, user, name="test", scopes=scopes)
        return Person(self.client, token, user.id)

    async def member(self, home: Project | Group, level: AccessLevel, **options: Any) -> Person:
        person = await self.user(**options)
        assert person.user_id is not None
        await tree.add_member(self.services.db, OPERATOR, home, user_id=person.user_id, access_level=level)
        return person

    async def deploy_token(self, home: Project | Group, *scopes: str) -> Person:
        _, token = await accounts.create_deploy_token(
            self.services.db, OPERATOR, home, name="test", scopes=scopes or ("read_package_registry",)
        )
        return Person(self.client, headers={"Deploy-Token": token})

    async def group(self, path: str = "", **options: Any) -> Group:
        path = path or f"group{next(_numbers)}"
        return await tree.create_group(self.services.db, OPERATOR, name=path, path=path, **options)

    async def project(self, group: Group | None = None, path: str = "", **options: Any) -> Project:
        path = path or f"project{next(_numbers)}"
        options.setdefault("visibility", "private")
        namespace = group or await self.group(visibility=options["visibility"])
        return await tree.create_project(
            self.services.db, OPERATOR, namespace=namespace, name=path, path=path, **options
        )


def basic(user: str, password: str) -> dict[str, str]:
    """Headers of Basic authentication."""
    return {"Authorization": encode_basic_auth(user, password)}
