"""The rules: what may be done at any time to the registry and to its model, and what holds after each step."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from registry.embedded import EmbeddedPostgres
from tests.formats.pypi.forms import CONTENT_TYPE, upload
from tests.people import ROOT_TOKEN
from tests.stateful import goods
from tests.stateful.registry import REPLICAS, Answer, Registry
from tests.stateful.survey import Survey
from tests.stateful.world import CREATE, DESTROY, NPM_VERSIONS, ROOT_PATH, File, Home, Release, World

USERS = ("ada", "bo")
VISIBILITIES = ("private", "internal", "public")
LEVELS = (0, 10, 30, 40)
MAX_HOMES = 2
# What the suite tries.
EXAMPLES, STEPS = 12, 30

a_replica = st.sampled_from(REPLICAS)
a_user = st.sampled_from(USERS)
# Most attempts should succeed.
a_person = st.sampled_from(("root", "root", *USERS, "nobody"))
a_file = st.tuples(
    st.sampled_from(goods.PYPI_NAMES),
    st.sampled_from(goods.PYPI_VERSIONS),
    st.sampled_from(goods.KINDS),
    st.sampled_from(goods.VARIANTS),
)
a_release = st.tuples(
    st.sampled_from(goods.NPM_NAMES),
    st.sampled_from(NPM_VERSIONS),
    st.sampled_from(goods.VARIANTS),
    st.sampled_from(goods.TAGS),
    st.sampled_from(goods.SESSIONS),
)

T = TypeVar("T")

_numbers = itertools.count(1)


class CatalogMachine(RuleBasedStateMachine):
    """One registry and its model. A subclass says which registry, and what runs its coroutines."""

    registry: Registry
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self._run(self.registry.clear())
        self.world = World()
        self.survey = Survey(self.registry)
        self.users: dict[str, int] = {}
        self._looking = itertools.cycle(REPLICAS)

    def teardown(self) -> None:
        """With the last project everything leaves the store."""
        for home in self.world.homes:
            assert 202 == self._ask(0, "root", "DELETE", f"/projects/{home.id}").status
        self.collect_garbage()

    @initialize()
    def begin(self) -> None:
        """A group, users with a token each, and a private project."""
        number = next(_numbers)
        self.group = self._made("/groups", name=ROOT_PATH, path=ROOT_PATH, visibility="public")["id"]
        for person in USERS:
            name = f"{person}{number}"
            self.users[person] = self._made("/users", username=name, name=name, email=f"{name}@example.com")["id"]
            self._new_token(person)
        self._new_project()
        self.world.audited = self._run(self.registry.services.db.fetchval("SELECT count(*) FROM audit_events"))

    # What people publish.

    @rule(data=st.data(), replica=a_replica, person=a_person, file=a_file)
    def publish_file(self, data: st.DataObject, replica: int, person: str, file: tuple[str, str, str, str]) -> None:
        home = self._home(data)
        answer = self._run(self._upload(home, replica, person, file))
        if not home.may(person, CREATE):
            self._refused(answer)
            return
        outcome = self._expect_file(home, file)
        assert {"created": 201, "replayed": 201, "refused": 400}[outcome] == answer.status, answer
        self.world.audited += outcome == "created"

    @rule(data=st.data(), replica=a_replica, person=a_person, release=a_release)
    def publish_release(
        self, data: st.DataObject, replica: int, person: str, release: tuple[str, str, str, str, str]
    ) -> None:
        home = self._home(data)
        answer = self._run(self._npm_publish(home, replica, person, release))
        if not home.may(person, CREATE):
            self._refused(answer)
            return
        outcome = self._expect_release(home, release)
        assert (answer.status == 200) == (outcome != "refused"), answer
        assert answer.status in {200, 400, 403}, answer
        self.world.audited += outcome == "created"

    @rule(data=st.data(), name=st.sampled_from(goods.PYPI_NAMES), version=st.sampled_from(goods.PYPI_VERSIONS))
    def race_for_a_file(self, data: st.DataObject, name: str, version: str) -> None:
        """Two contents for one file name, at both replicas at once: one is taken, and stays."""
        home = self._home(data)
        files = [(name, version, "wheel", variant) for variant in goods.VARIANTS]
        answers = self._together(
            self._upload(home, each, "root", file) for each, file in zip(REPLICAS, files, strict=True)
        )
        self._settle(answers, [lambda file=file: self._expect_file(home, file) for file in files])

    @rule(data=st.data(), name=st.sampled_from(goods.NPM_NAMES), version=st.sampled_from(NPM_VERSIONS))
    def race_for_a_release(self, data: st.DataObject, name: str, version: str) -> None:
        home = self._home(data)
        releases = [(name, version, variant, "latest", "morning") for variant in goods.VARIANTS]
        answers = self._together(
            self._npm_publish(home, each, "root", one) for each, one in zip(REPLICAS, releases, strict=True)
        )
        self._settle(answers, [lambda one=one: self._expect_release(home, one) for one in releases])

    # What people change and delete.

    @precondition(lambda self: self._all_versions())
    @rule(data=st.data(), replica=a_replica, person=a_person)
    def delete_version(self, data: st.DataObject, replica: int, person: str) -> None:
        home, kind, name, version = data.draw(st.sampled_from(self._all_versions()), label="version")
        package = self._run(self._package_id(home, kind, name, version))
        answer = self._ask(replica, person, "DELETE", f"/projects/{home.id}/packages/{package}")
        if not home.may(person, DESTROY):
            self._refused(answer)
            return
        assert 204 == answer.status, answer
        home.delete_version(kind, name, version)
        self.world.audited += 1

    @precondition(lambda self: self._all_files())
    @rule(data=st.data(), replica=a_replica, person=a_person)
    def delete_file(self, data: st.DataObject, replica: int, person: str) -> None:
        home, kind, name, version, file_name = data.draw(st.sampled_from(self._all_files()), label="file")
        package = self._run(self._package_id(home, kind, name, version))
        file = self._run(self._file_id(package, file_name))
        answer = self._ask(replica, person, "DELETE", f"/projects/{home.id}/packages/{package}/package_files/{file}")
        if not home.may(person, DESTROY):
            self._refused(answer)
            return
        assert 204 == answer.status, answer
        home.delete_file(kind, name, version, file_name)
        self.world.audited += 1

    @precondition(lambda self: self._all_versions("npm"))
    @rule(data=st.data(), replica=a_replica, person=a_person, tag=st.sampled_from(goods.TAGS))
    def set_tag(self, data: st.DataObject, replica: int, person: str, tag: str) -> None:
        home, _, name, version = data.draw(st.sampled_from(self._all_versions("npm")), label="version")
        answer = self._ask(replica, person, "PUT", self._tag(home, name, tag), json=version)
        if not home.may(person, CREATE):
            self._refused(answer)
        elif version not in home.versions(name):
            assert 404 == answer.status, answer
        else:
            assert 204 == answer.status, answer
            home.tags[name, tag] = version
            self.world.audited += 1

    @precondition(lambda self: self._all_tags())
    @rule(data=st.data(), replica=a_replica, person=a_person)
    def delete_tag(self, data: st.DataObject, replica: int, person: str) -> None:
        """Twice: the second time it is gone."""
        home, name, tag = data.draw(st.sampled_from(self._all_tags()), label="tag")
        answer = self._ask(replica, person, "DELETE", self._tag(home, name, tag))
        if not home.may(person, DESTROY):
            self._refused(answer)
            return
        assert 204 == answer.status, answer
        del home.tags[name, tag]
        self.world.audited += 1
        assert 404 == self._ask(replica, person, "DELETE", self._tag(home, name, tag)).status

    @precondition(lambda self: self._all_versions("npm"))
    @rule(data=st.data(), replica=a_replica, person=a_person, message=st.sampled_from((None, "old", "broken")))
    def deprecate(self, data: st.DataObject, replica: int, person: str, message: str | None) -> None:
        home, _, name, version = data.draw(st.sampled_from(self._all_versions("npm")), label="version")
        document = {"name": name, "versions": {version: {"deprecated": message or ""}}}
        headers = {"npm-command": "deprecate"}
        answer = self._ask(replica, person, "PUT", self._packument(home, name), json=document, headers=headers)
        if not home.may(person, DESTROY):
            self._refused(answer)
            return
        assert 200 == answer.status, answer
        release = home.releases[name, version]
        self.world.audited += release.deprecated != message
        release.deprecated = message

    # Who may do what.

    @rule(replica=a_replica, user=a_user)
    def replace_token(self, replica: int, user: str) -> None:
        """Revoked, it opens nothing any more; another one is made."""
        token = self._ask(replica, user, "GET", "/personal_access_tokens/self").json
        answer = self._ask(replica, "root", "DELETE", f"/personal_access_tokens/{token['id']}")
        assert 204 == answer.status, answer
        self.world.revoked.append(self.world.live.pop(user))
        self._new_token(user)
        self.world.audited += 2

    @rule(data=st.data(), replica=a_replica)
    def change_visibility(self, data: st.DataObject, replica: int) -> None:
        home = self._home(data)
        others = [one for one in VISIBILITIES if one != home.visibility]
        visibility = data.draw(st.sampled_from(others), label="visibility")
        answer = self._ask(replica, "root", "PUT", f"/projects/{home.id}", json={"visibility": visibility})
        assert 200 == answer.status, answer
        home.visibility = visibility
        self.world.audited += 1

    @rule(data=st.data(), replica=a_replica, user=a_user)
    def change_membership(self, data: st.DataObject, replica: int, user: str) -> None:
        home = self._home(data)
        held = home.levels.get(user, 0)
        level = data.draw(st.sampled_from([one for one in LEVELS if one != held]), label="level")
        members = f"/projects/{home.id}/members"
        one = f"{members}/{self.users[user]}"
        fields = {"user_id": self.users[user], "access_level": level}
        if not held:
            answer = self._ask(replica, "root", "POST", members, json=fields)
        elif level:
            answer = self._ask(replica, "root", "PUT", one, json=fields)
        else:
            answer = self._ask(replica, "root", "DELETE", one)
        assert (201 if not held else 200 if level else 204) == answer.status, answer
        home.levels[user] = level
        self.world.audited += 1

    # What operators do.

    @precondition(lambda self: len(self.world.homes) < MAX_HOMES)
    @rule()
    def create_project(self) -> None:
        self._new_project()
        self.world.audited += 1

    @precondition(lambda self: len(self.world.homes) == MAX_HOMES)
    @rule(data=st.data(), replica=a_replica)
    def delete_project(self, data: st.DataObject, replica: int) -> None:
        home = self._home(data)
        answer = self._ask(replica, "root", "DELETE", f"/projects/{home.id}")
        assert 202 == answer.status, answer
        self.world.homes.remove(home)
        self.world.audited += 1
        for each in REPLICAS:
            assert 404 == self._ask(each, "root", "GET", f"/projects/{home.id}").status

    @rule(replica=a_replica)
    def restart(self, replica: int) -> None:
        self._run(self.registry.restart(replica))

    @rule()
    def collect_garbage(self) -> None:
        assert [] == self._run(self.registry.collect_garbage())
        self._run(self.survey.tidy())

    # What holds after each step.

    @invariant()
    def agrees(self) -> None:
        """Model and registry, seen from one replica and then from the other, whichever was asked in the step."""
        if self.world.homes:
            self._run(self._look(next(self._looking)))

    async def _look(self, replica: int) -> None:
        for home in self.world.homes:
            await self.survey.packages(replica, home)
        await self.survey.rights(replica, self.world)
        await self.survey.rows(self.world)

    # How it is done.

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def _together(self, uploads: Any) -> list[Answer]:
        async def all_of_them() -> list[Answer]:
            return await asyncio.gather(*uploads)

        return self._run(all_of_them())

    def _token(self, person: str) -> str | None:
        return ROOT_TOKEN if person == "root" else self.world.live.get(person)

    def _ask(self, replica: int, person: str, method: str, path: str, **request: Any) -> Answer:
        return self._run(self.registry.ask(replica, self._token(person), method, f"/api/v4{path}", **request))

    def _made(self, path: str, /, **fields: Any) -> Any:
        answer = self._ask(0, "root", "POST", path, json=fields)
        assert 201 == answer.status, answer
        return answer.json

    def _new_token(self, user: str) -> None:
        path = f"/users/{self.users[user]}/personal_access_tokens"
        self.world.live[user] = self._made(path, name="model", scopes=["api"])["token"]

    def _new_project(self) -> None:
        path = f"project{next(_numbers)}"
        made = self._made("/projects", name=path, path=path, namespace_id=self.group, visibility="private")
        self.world.homes.append(Home(made["id"]))

    def _home(self, data: st.DataObject) -> Home:
        at = data.draw(st.integers(0, len(self.world.homes) - 1), label="project")
        return self.world.homes[at]

    async def _upload(self, home: Home, replica: int, person: str, file: tuple[str, str, str, str]) -> Answer:
        name, version, kind, _ = file
        body = upload(name, version, goods.file_name(name, version, kind), goods.distribution(*file))
        path = f"/api/v4/projects/{home.id}/packages/pypi"
        headers = {"Content-Type": CONTENT_TYPE}
        return await self.registry.ask(replica, self._token(person), "POST", path, data=body, headers=headers)

    async def _npm_publish(
        self, home: Home, replica: int, person: str, release: tuple[str, str, str, str, str]
    ) -> Answer:
        name, version, variant, tag, session = release
        path = f"/api/v4{self._packument(home, name)}"
        document, headers = goods.document(name, version, variant, tag), {"npm-session": session}
        return await self.registry.ask(replica, self._token(person), "PUT", path, json=document, headers=headers)

    def _expect_file(self, home: Home, file: tuple[str, str, str, str]) -> str:
        name, version, kind, _ = file
        return home.publish_file(name, goods.file_name(name, version, kind), File(version, goods.distribution(*file)))

    def _expect_release(self, home: Home, release: tuple[str, str, str, str, str]) -> str:
        name, version, variant, tag, session = release
        one = Release(goods.tarball(name, version, variant), session)
        return self.world.publish_release(home, name, version, tag, one)

    def _settle(self, answers: list[Answer], publish: list[Callable[[], str]]) -> None:
        """Let the model do what the winner did before what the loser did."""
        won = [answer.status < 300 for answer in answers]
        for succeeded, each in sorted(zip(won, publish, strict=True), key=lambda one: not one[0]):
            outcome = each()
            assert succeeded == (outcome != "refused"), answers
            self.world.audited += outcome == "created"
        assert all(answer.status < 300 or answer.status in {400, 403} for answer in answers), answers

    @staticmethod
    def _refused(answer: Answer) -> None:
        assert answer.status in {401, 403, 404}, answer

    @staticmethod
    def _packument(home: Home, name: str) -> str:
        return f"/projects/{home.id}/packages/npm/{quote(name, safe='@')}"

    @staticmethod
    def _tag(home: Home, name: str, tag: str) -> str:
        return f"/projects/{home.id}/packages/npm/-/package/{quote(name, safe='@')}/dist-tags/{tag}"

    def _all_versions(self, *kinds: str) -> list[tuple[Home, str, str, str]]:
        found = [(home, "pypi", *one) for home in self.world.homes for one in sorted(home.packages)]
        found += [(home, "npm", *one) for home in self.world.homes for one in sorted(home.releases)]
        return [one for one in found if not kinds or one[1] in kinds]

    def _all_tags(self) -> list[tuple[Home, str, str]]:
        return [(home, *one) for home in self.world.homes for one in sorted(home.tags)]

    def _all_files(self) -> list[tuple[Home, str, str, str, str]]:
        found = []
        for home in self.world.homes:
            for (name, file_name), file in sorted(home.files.items()):
                found.append((home, "pypi", name, file.version, file_name))
            for (name, version), release in sorted(home.releases.items()):
                if release.tarball is not None:
                    found.append((home, "npm", name, version, ""))
        return found

    async def _package_id(self, home: Home, kind: str, name: str, version: str) -> int:
        return int(
            await self.registry.services.db.fetchval(
                "SELECT id FROM packages WHERE project_id = $1 AND package_type = $2 AND name = $3 AND version = $4",
                home.id,
                kind,
                name,
                version,
            )
        )

    async def _file_id(self, package: int, file_name: str) -> int:
        return int(
            await self.registry.services.db.fetchval(
                "SELECT id FROM package_files WHERE package_id = $1 AND (file_name = $2 OR $2 = '')", package, file_name
            )
        )


def run(
    postgres: EmbeddedPostgres, template: str, *, examples: int, steps: int, derandomize: bool, shrink: bool
) -> None:
    """Try so many histories of at most so many steps. Fails with one that ends in disagreement.

    `shrink` makes it a short one, which takes some minutes.
    """
    choices = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=derandomize,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    with tempfile.TemporaryDirectory(prefix="stateful-", dir="/tmp") as directory, asyncio.Runner() as runner:
        registry = Registry(postgres, template, Path(directory))
        runner.run(registry.start())
        try:
            machine = type("Machine", (CatalogMachine,), {"registry": registry, "runner": runner})
            run_state_machine_as_test(machine, settings=choices)
        finally:
            runner.run(registry.close())
