"""What the clients know of the registry they change and read."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.cli.processes import TOKEN
from tests.histories.client import Client, credentials
from tests.histories.history import Operation

# A name that has more versions is left alone by writers.
VERSIONS = 25
_numbers = itertools.count(1)


@dataclass
class Name:
    """A name of a package. Writers use it once its first version, which stays, is known to be there.

    `versions` are those that were tried; of these `settled` are there and never deleted, and `doubled` were given a
    second file.
    """

    package_type: str
    project: int
    text: str
    tagged: bool = False
    usable: bool = False
    versions: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    doubled: set[str] = field(default_factory=set)

    @property
    def path(self) -> str:
        """Of its page or packument."""
        middle = "/simple" if self.package_type == "pypi" else ""
        return f"/api/v4/projects/{self.project}/packages/{self.package_type}{middle}/{self.text}"

    @property
    def register(self) -> str:
        return f"names/{self.package_type}/{self.project}#{self.text}"

    def listing(self, what: str) -> str:
        """`files`, `versions`, `tags` or `deprecations`."""
        return f"{what}/{self.project}/{self.text}"


@dataclass(frozen=True)
class Token:
    number: int
    text: str

    @property
    def register(self) -> str:
        return f"tokens/#{self.number}"


@dataclass
class World:
    """The projects: `store` is private, `window` is made public and private, `club` gains and loses members.

    `readers` are the tokens of one member of the store, live and revoked ones; `members` those of the club, by user.
    """

    group: int
    store: int
    window: int
    club: int
    reader: int
    names: list[Name] = field(default_factory=list)
    fixed: dict[int, list[Name]] = field(default_factory=dict)
    readers: list[Token] = field(default_factory=list)
    revoked: list[Token] = field(default_factory=list)
    members: dict[int, Token] = field(default_factory=dict)

    def new_name(self, package_type: str, *, tagged: bool = False, project: int | None = None) -> Name:
        """One that nobody has used; readers ask for it from now on."""
        name = Name(package_type, project or self.store, f"n{next(_numbers)}-{package_type}", tagged=tagged)
        (self.names if project is None else self.fixed.setdefault(project, [])).append(name)
        return name


async def make(client: Client, path: str, /, **fields: Any) -> Any:
    """Make something by `POST`, or fail. Used before there are faults."""
    answer = await client.ask(
        Operation("make"),
        "POST",
        path,
        headers=credentials(TOKEN) | {"Content-Type": "application/x-www-form-urlencoded"},
        data=urlencode(fields, doseq=True),
    )
    assert answer is not None
    assert answer.status == 201, answer.body
    return answer.json
