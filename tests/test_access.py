"""The rule of who may do what, against GitLab's table (contract, section 1.0), written out once."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.access import (
    ANONYMOUS,
    DEPLOY_TOKEN_SCOPES,
    READS,
    SYSTEM,
    TOKEN_SCOPES,
    Ability,
    AccessLevel,
    Actor,
    can,
    level_in,
    scope_allows,
)
from registry.model import Group, PackageRegistryAccess, Project, Visibility

TOP, MIDDLE, ELSEWHERE, PROJECT, OTHER_PROJECT = 1, 2, 3, 10, 11
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_group(visibility: Visibility = "private", *, ancestry: tuple[int, ...] = (TOP, MIDDLE)) -> Group:
    parent = ancestry[-2] if len(ancestry) > 1 else None
    return Group(ancestry[-1], "group", parent, ancestry, "g", "g", "g", "", visibility, NOW)


def a_project(
    visibility: Visibility = "private", registry: PackageRegistryAccess = "enabled", *, archived: bool = False
) -> Project:
    ancestry = (TOP, MIDDLE)
    return Project(PROJECT, MIDDLE, ancestry, "p", "p", "g/p", "", visibility, registry, archived, NOW)


def a_user(*, scopes: tuple[str, ...] = ("api",), admin: bool = False, **levels: int) -> Actor:
    groups = {int(name[1:]): level for name, level in levels.items() if name[0] == "g"}
    projects = {int(name[1:]): level for name, level in levels.items() if name[0] == "p"}
    sees = frozenset({TOP, MIDDLE}) if PROJECT in projects or MIDDLE in groups else frozenset(groups)
    return Actor(kind="user", id=7, admin=admin, scopes=frozenset(scopes), groups=groups, projects=projects,
                 sees_groups=sees)  # fmt: skip


def a_deploy_token(scope: str, *, group: int | None = None, project: int | None = None) -> Actor:
    return Actor(kind="deploy_token", id=7, scopes=frozenset({scope}), home_group=group, home_project=project)


READ, WRITE = "read_package_registry", "write_package_registry"
MEMBERS = {level.name.lower(): a_user(p10=level) for level in AccessLevel if 0 < level < AccessLevel.ADMIN}
CALLERS = {
    "anonymous": ANONYMOUS,
    "outsider": a_user(),
    "member elsewhere": a_user(g3=50, p11=50),
    **MEMBERS,
    "inherited developer": a_user(g1=30),
    "inherited maintainer": a_user(g1=40, p10=10),
    "admin": a_user(admin=True),
    "read_api developer": a_user(scopes=("read_api",), p10=30),
    "read_user owner": a_user(scopes=("read_user",), p10=50),
    "k8s_proxy owner": a_user(scopes=("k8s_proxy", "read_repository"), p10=50),
    "token: project read": a_deploy_token(READ, project=PROJECT),
    "token: project write": a_deploy_token(WRITE, project=PROJECT),
    "token: group read": a_deploy_token(READ, group=TOP),
    "token: group write": a_deploy_token(WRITE, group=MIDDLE),
    "token: elsewhere write": a_deploy_token(WRITE, group=ELSEWHERE),
    "token: other project": a_deploy_token(WRITE, project=OTHER_PROJECT),
    "token: read_registry": a_deploy_token("read_registry", project=PROJECT),
}

# r read_package, w create_package, d destroy_package; one column for each kind of project.
TABLE = """
                         public  internal  private  anyone-pulls  members-only  archived  switched-off
anonymous                r--     ---       ---      r--           ---           r--       ---
outsider                 r--     r--       ---      r--           ---           r--       ---
member elsewhere         r--     r--       ---      r--           ---           r--       ---
guest                    r--     r--       r--      r--           r--           r--       ---
planner                  r--     r--       r--      r--           r--           r--       ---
reporter                 r--     r--       r--      r--           r--           r--       ---
developer                rw-     rw-       rw-      rw-           rw-           r--       ---
maintainer               rwd     rwd       rwd      rwd           rwd           r-d       ---
owner                    rwd     rwd       rwd      rwd           rwd           r-d       ---
inherited developer      rw-     rw-       rw-      rw-           rw-           r--       ---
inherited maintainer     rwd     rwd       rwd      rwd           rwd           r-d       ---
admin                    rwd     rwd       rwd      rwd           rwd           r-d       ---
read_api developer       r--     r--       r--      r--           r--           r--       ---
read_user owner          ---     ---       ---      ---           ---           ---       ---
k8s_proxy owner          ---     ---       ---      ---           ---           ---       ---
token: project read      r--     r--       r--      r--           r--           r--       ---
token: project write     rwd     rwd       rwd      rwd           rwd           r-d       ---
token: group read        r--     r--       r--      r--           r--           r--       ---
token: group write       rwd     rwd       rwd      rwd           rwd           r-d       ---
token: elsewhere write   r--     ---       ---      r--           ---           r--       ---
token: other project     r--     ---       ---      r--           ---           r--       ---
token: read_registry     ---     ---       ---      ---           ---           ---       ---
"""
PROJECTS = {
    "public": a_project("public"),
    "internal": a_project("internal"),
    "private": a_project("private"),
    "anyone-pulls": a_project("private", "public"),
    "members-only": a_project("public", "private"),
    "archived": a_project("public", archived=True),
    "switched-off": a_project("public", "disabled"),
}
PACKAGES = {"r": Ability.READ_PACKAGE, "w": Ability.CREATE_PACKAGE, "d": Ability.DESTROY_PACKAGE}

# What a role opens beside packages, in a private project or group. The letters are those of ABILITIES.
ROLES = """
                         project  group
anonymous                ----     -----
outsider                 ----     -----
guest                    p---     g----
reporter                 p---     g----
developer                p---     gc---
maintainer               pim-     gcim-
owner                    pima     gcima
admin                    pima     gcima
"""
ABILITIES = {
    "project": {
        "p": Ability.READ_PROJECT,
        "i": Ability.INSPECT_PROJECT,
        "m": Ability.MAINTAIN_PROJECT,
        "a": Ability.ADMIN_PROJECT,
    },
    "group": {
        "g": Ability.READ_GROUP,
        "c": Ability.CREATE_IN_GROUP,
        "i": Ability.INSPECT_GROUP,
        "m": Ability.MAINTAIN_GROUP,
        "a": Ability.ADMIN_GROUP,
    },
}


def letters(actor: Actor, abilities: Mapping[str, Ability], place: Project | Group) -> str:
    return "".join(letter if can(actor, ability, place) else "-" for letter, ability in abilities.items())


def rendered() -> str:
    lines = [" " * 25 + "  ".join(PROJECTS)]
    for caller, actor in CALLERS.items():
        cells = []
        for name, project in PROJECTS.items():
            cells.append(letters(actor, PACKAGES, project).ljust(len(name)))
        lines.append(f"{caller:25}" + "  ".join(cells).rstrip())
    return "\n".join(line.rstrip() for line in lines)


def test_who_may_do_what_with_packages() -> None:
    assert TABLE.strip("\n").rstrip() == rendered()


def test_what_roles_open_beside_packages() -> None:
    expected = {line.split()[0]: tuple(line.split()[1:]) for line in ROLES.strip("\n").splitlines()[1:]}
    found = {}
    for caller in expected:
        actor = a_user(g1=AccessLevel[caller.upper()]) if caller in MEMBERS else CALLERS[caller]
        found[caller] = (
            letters(actor, ABILITIES["project"], a_project()),
            letters(actor, ABILITIES["group"], a_group()),
        )
    assert expected == found


def test_the_instance_is_its_admins() -> None:
    for caller, actor in CALLERS.items():
        expected = caller == "admin"
        assert (expected, expected) == (can(actor, Ability.ADMIN_INSTANCE), can(actor, Ability.INSPECT_INSTANCE))


def test_a_token_never_does_more_than_its_scopes_for_whomever_it_is() -> None:
    admin = a_user(admin=True)
    places: list[Project | Group | None] = [*PROJECTS.values(), a_group("public"), a_group(), None]
    for ability, place in itertools.product(Ability, places):
        reading = replace(admin, scopes=frozenset({"read_api"}))
        nothing = replace(admin, scopes=frozenset())
        assert can(reading, ability, place) <= (ability in READS or ability is Ability.ITSELF)
        assert can(nothing, ability, place) <= (ability is Ability.ITSELF)


def test_no_scope_of_a_deploy_token_reaches_the_instance_or_the_account() -> None:
    every = Actor(kind="deploy_token", id=1, scopes=frozenset(DEPLOY_TOKEN_SCOPES), home_group=TOP)
    reached = {ability for ability in Ability if scope_allows(every, ability)}
    assert reached <= {
        Ability.PUBLIC,
        Ability.ANYONE,
        Ability.SIGNED_IN,
        Ability.READ_PROJECT,
        Ability.READ_PACKAGE,
        Ability.CREATE_PACKAGE,
        Ability.DESTROY_PACKAGE,
    }


def test_a_member_of_something_inside_sees_the_groups_above_and_nothing_else_of_them() -> None:
    developer = a_user(p10=30)
    top = a_group(ancestry=(TOP,))
    assert can(developer, Ability.READ_GROUP, top)
    assert can(developer, Ability.READ_PACKAGE, top)
    assert not can(developer, Ability.CREATE_IN_GROUP, top)
    other = replace(a_project(), id=OTHER_PROJECT, namespace_id=TOP, ancestry=(TOP,))
    assert not can(developer, Ability.READ_PACKAGE, other)
    assert not can(developer, Ability.READ_PROJECT, other)


def test_a_group_is_seen_as_widely_as_its_visibility_says() -> None:
    def seen_by(visibility: Visibility) -> set[str]:
        group = a_group(visibility)
        return {caller for caller, actor in CALLERS.items() if can(actor, Ability.READ_PACKAGE, group)}

    unscoped = {"read_user owner", "k8s_proxy owner", "token: read_registry"}
    users = {caller for caller, actor in CALLERS.items() if actor.is_user} - unscoped
    inside = {"token: group read", "token: group write"}
    assert set(CALLERS) - unscoped == seen_by("public")
    assert users | inside == seen_by("internal")
    assert users - {"outsider", "member elsewhere"} | inside == seen_by("private")


def test_a_project_deploy_token_does_not_see_the_private_group_around_its_project() -> None:
    assert not can(a_deploy_token(WRITE, project=PROJECT), Ability.READ_PACKAGE, a_group())


def test_the_highest_membership_counts_wherever_it_is() -> None:
    assert 40 == level_in(a_user(g1=40, g2=10, p10=20), a_project())
    assert 50 == level_in(a_user(g1=10, g2=20, p10=50), a_project())
    assert 20 == level_in(a_user(g1=10, g2=20, p10=50), a_group())
    assert AccessLevel.ADMIN == level_in(a_user(admin=True), a_project())
    assert 0 == level_in(a_user(g3=50, p11=50), a_project())


def test_an_id_is_a_group_or_a_project_but_never_both() -> None:
    assert 0 == level_in(a_user(p1=50, p2=50), a_project())
    assert 0 == level_in(a_user(g10=50), a_project())
    assert 0 == level_in(a_user(p2=50), a_group())


def test_the_server_itself_is_no_user() -> None:
    assert not can(SYSTEM, Ability.READ_USER)
    assert not can(SYSTEM, Ability.ITSELF)


@pytest.mark.parametrize("ability", [ability for ability in Ability if ability.value.endswith(("_project", "_group"))])
def test_what_is_about_a_place_is_nothing_without_one(ability: Ability) -> None:
    assert not can(a_user(admin=True), ability, None)


actors = st.builds(
    Actor,
    kind=st.sampled_from(["anonymous", "user", "deploy_token"]),
    scopes=st.frozensets(st.sampled_from([*TOKEN_SCOPES, *DEPLOY_TOKEN_SCOPES]), max_size=3),
    groups=st.dictionaries(st.sampled_from([TOP, MIDDLE, ELSEWHERE]), st.sampled_from([10, 15, 20, 30, 40, 50])),
    projects=st.dictionaries(st.sampled_from([PROJECT, OTHER_PROJECT]), st.sampled_from([10, 20, 30, 40, 50])),
    home_group=st.none() | st.sampled_from([TOP, MIDDLE, ELSEWHERE]),
    home_project=st.none() | st.sampled_from([PROJECT, OTHER_PROJECT]),
)
projects = st.builds(
    a_project,
    st.sampled_from(get_args(Visibility)),
    st.sampled_from(get_args(PackageRegistryAccess)),
    archived=st.booleans(),
)


@given(actors, projects)
def test_who_destroys_creates_or_could_and_who_creates_reads(actor: Actor, project: Project) -> None:
    read, create, destroy = (can(actor, ability, project) for ability in PACKAGES.values())
    assert create <= read
    assert destroy <= read
    if not project.archived:
        assert destroy <= create


@given(actors, projects, st.sampled_from([10, 15, 20, 30, 40, 50]))
def test_a_higher_role_never_takes_anything_away(actor: Actor, project: Project, level: int) -> None:
    raised = replace(actor, groups={**actor.groups, TOP: max(level, actor.groups.get(TOP, 0))})
    for ability in Ability:
        assert can(actor, ability, project) <= can(raised, ability, project)


@given(actors, projects)
def test_opening_a_project_never_shuts_anybody_out(actor: Actor, project: Project) -> None:
    opened = replace(project, visibility="public", package_registry_access_level="public")
    if project.package_registry_access_level != "disabled":
        for ability in (Ability.READ_PACKAGE, Ability.READ_PROJECT, Ability.CREATE_PACKAGE, Ability.DESTROY_PACKAGE):
            assert can(actor, ability, project) <= can(actor, ability, opened)


@given(actors, projects)
def test_without_credentials_only_reading_is_ever_possible(actor: Actor, project: Project) -> None:
    # Whatever else an anonymous actor may carry by mistake.
    anonymous = replace(ANONYMOUS, scopes=actor.scopes)
    open_to_all = {Ability.PUBLIC, Ability.ANYONE, Ability.READ_PACKAGE, Ability.READ_PROJECT}
    assert {ability for ability in Ability if can(anonymous, ability, project)} <= open_to_all
