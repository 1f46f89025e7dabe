"""The route table of npm (contract 1.3; npm.md A.1)."""

from __future__ import annotations

from registry.access import Ability
from registry.errors import NotFound, Unauthenticated
from registry.formats.npm import (
    attestations,
    collaborators,
    dist_tags,
    downloads,
    editing,
    examination,
    face,
    finding,
    login,
    pages,
    previews,
    publish,
    schemas,
    service,
    signatures,
    stages,
    stars,
    tokens,
    users,
)
from registry.model import Level
from registry.server import feed, files
from registry.server.content import Answers
from registry.server.responses import CONDITIONS
from registry.server.routes import ALL_LEVELS, PROJECT, Face, Format, Route

FACE = Face(
    render=face.render,
    unknown=Unauthenticated,
    hidden=Unauthenticated,
    lacking=Unauthenticated,
    errors=schemas.ERRORS,
)
# A tarball of a hidden project does not exist for anonymous callers (contract 1.3, N2).
TARBALL_FACE = Face(render=face.render, unknown=NotFound, hidden=NotFound, lacking=NotFound, errors=schemas.ERRORS)

_BELOW = frozenset({Level.GROUP, Level.INSTANCE})
_READ, _CREATE, _DESTROY = Ability.READ_PACKAGE, Ability.CREATE_PACKAGE, Ability.DESTROY_PACKAGE
_SIGNED_IN = Ability.SIGNED_IN
_TAGS = "/-/package/{name:scoped}/dist-tags"
_TAG = f"{_TAGS}/{{tag}}"
_AUDIT = "/-/npm/v1/security"
_ATTESTATIONS = "/-/npm/v1/attestations/{spec:scoped}"
_STAGES = "/-/stage"
_STAGE = f"{_STAGES}/{{stage_id}}"
# A registry of its own: what is published to it is staged, and what is installed from it is the project with the stage.
_PREVIEW = "/-/stages/{stage_id}"
_REPORTS: Answers = {200: schemas.REPORT, 307: None}
_ATTESTED: Answers = {200: schemas.ATTESTATIONS, 304: None}
# yarn 1 takes only a JSON answer for success.
_TAGGED: Answers = {204: None, 200: schemas.OK}

# The signing in and the tokens of people have nothing to do with the project or group in front of these paths.
ACCOUNT_ROUTES = (
    Route("POST", "/-/v1/login", login.begin, Ability.PUBLIC, ALL_LEVELS, placeless=True,
          answers={200: schemas.SIGN_IN, 429: None}),
    Route("PUT", "/-/user/{user}", login.sign_in_by_name, Ability.PUBLIC, ALL_LEVELS, placeless=True,
          body=schemas.USER_SENT, answers={201: schemas.USER_SIGNED_IN, 401: None, 403: None, 404: None, 429: None}),
    Route("GET", "/-/user/{user}", users.show, _SIGNED_IN, ALL_LEVELS, placeless=True, own=True,
          answers={200: schemas.USER, 404: None}),
    Route("DELETE", "/-/user/token/{token}", login.logout, Ability.ITSELF, ALL_LEVELS, placeless=True,
          answers={200: schemas.OK, 404: None}),
    Route("GET", "/-/npm/v1/user", users.profile, Ability.ITSELF, ALL_LEVELS, placeless=True,
          answers={200: schemas.PROFILE}),
    Route("POST", "/-/npm/v1/user", users.change_profile, Ability.ITSELF, ALL_LEVELS, placeless=True,
          answers={403: None}),
    Route("GET", "/-/npm/v1/tokens", tokens.index, Ability.READ_API, ALL_LEVELS, placeless=True,
          parameters=schemas.TOKEN_PAGES, answers={200: schemas.TOKENS}),
    Route("POST", "/-/npm/v1/tokens", tokens.create, Ability.USE_API, ALL_LEVELS, placeless=True,
          body=schemas.TOKEN_SENT, answers={201: schemas.TOKEN}),
    Route("DELETE", "/-/npm/v1/tokens/token/{key}", tokens.revoke, Ability.USE_API, ALL_LEVELS, placeless=True,
          answers={204: None, 404: None}),
)  # fmt: skip

_OF = "/-/package/{name:scoped}"
_TEAM = "/-/team/{scope}/{team}/package"
_READ_USER = Ability.READ_USER
ACCESS_ROUTES = (
    Route("GET", f"{_OF}/visibility", collaborators.visibility, _READ, ALL_LEVELS, answers={200: schemas.VISIBILITY}),
    Route("GET", f"{_OF}/access", collaborators.access, _READ, ALL_LEVELS, answers={200: schemas.ACCESS}),
    Route("POST", f"{_OF}/access", collaborators.set_access, _READ, ALL_LEVELS, also=_SIGNED_IN,
          body=schemas.ACCESS_SENT, answers={200: schemas.OK}),
    Route("GET", f"{_OF}/collaborators", collaborators.index, _READ, ALL_LEVELS, also=_READ_USER,
          parameters=(schemas.ONLY_USER,), answers={200: schemas.PERMISSIONS}),
    Route("GET", "/-/user/{username}/package", collaborators.of_user, _READ, ALL_LEVELS, also=_READ_USER,
          answers={200: schemas.PERMISSIONS}),
    Route("GET", "/-/org/{scope}/package", collaborators.of_scope, _READ, ALL_LEVELS, also=_READ_USER,
          answers={200: schemas.PERMISSIONS}),
    Route("PUT", _TEAM, collaborators.change_team, _READ, ALL_LEVELS, also=_SIGNED_IN, answers={403: None}),
    Route("DELETE", _TEAM, collaborators.change_team, _READ, ALL_LEVELS, also=_SIGNED_IN),
    Route("PUT", "/-/user/package/{name:scoped}/star", stars.star, _READ, ALL_LEVELS, also=_READ_USER,
          answers={200: schemas.DONE}),
    Route("DELETE", "/-/user/package/{name:scoped}/star", stars.unstar, _READ, ALL_LEVELS, also=_READ_USER,
          answers={200: schemas.DONE}),
    Route("GET", "/-/_view/starredByUser", stars.index, _READ, ALL_LEVELS, also=_SIGNED_IN, own=True,
          parameters=(schemas.STARRED_BY,), answers={200: schemas.STARRED}),
)  # fmt: skip

FORMAT = Format(
    package_type="npm",
    face=FACE,
    file_limit=500 * 1024**2,
    namespace_of=finding.namespace_of,
    examine=examination.examine,
    signed_text=signatures.signed_text,
    title="npm",
    path_parameters=schemas.PATHS,
    routes=(
        Route("GET", "/-/ping", service.ping, Ability.PUBLIC, ALL_LEVELS, denied=service.ping_denied,
              answers={200: schemas.EMPTY}),
        Route("GET", "/-/whoami", service.whoami, _READ, ALL_LEVELS, also=_SIGNED_IN, own=True,
              answers={200: schemas.WHOAMI}),
        *ACCOUNT_ROUTES,
        Route("GET", "/-/npm/v1/keys", signatures.keys, Ability.PUBLIC, ALL_LEVELS, denied=signatures.keys_denied,
              answers={200: schemas.KEYS, 404: None}),
        Route("GET", "/-/v1/search", service.find, _READ, ALL_LEVELS,
              parameters=schemas.SEARCH_PARAMETERS, answers={200: schemas.FOUND}),
        Route("GET", "/_changes", service.changes, _READ, frozenset({Level.PROJECT, Level.GROUP}),
              parameters=feed.PARAMETERS, answers={200: feed.CHANGES}),
        Route("POST", f"{_AUDIT}/advisories/bulk", service.bulk, _READ, ALL_LEVELS, denied=service.audit_denied,
              also=_SIGNED_IN, own=True, body=schemas.TREE, answers=_REPORTS),
        Route("POST", f"{_AUDIT}/audits/quick", service.quick, _READ, ALL_LEVELS, denied=service.audit_denied,
              also=_SIGNED_IN, own=True, body=schemas.TREE, answers=_REPORTS),
        Route("POST", f"{_AUDIT}/audits", service.quick, _READ, ALL_LEVELS, denied=service.audit_denied,
              also=_SIGNED_IN, own=True, body=schemas.TREE, answers=_REPORTS),
        Route("GET", _ATTESTATIONS, attestations.show, _READ, ALL_LEVELS, headers=CONDITIONS, answers=_ATTESTED),
        # npm 10 asks for the path of the URL in the document behind the path of its registry (pacote 18).
        Route("GET", f"/api/v4/projects/{{again}}/packages/npm{_ATTESTATIONS}", attestations.show, _READ,
              headers=CONDITIONS, answers=_ATTESTED),
        Route("GET", f"/api/v4/groups/{{again}}/-/packages/npm{_ATTESTATIONS}", attestations.show, _READ,
              frozenset({Level.GROUP}), headers=CONDITIONS, answers=_ATTESTED),
        Route("GET", f"/api/v4/packages/npm{_ATTESTATIONS}", attestations.show, _READ, frozenset({Level.INSTANCE}),
              headers=CONDITIONS, answers=_ATTESTED),
        Route("GET", _TAGS, dist_tags.list_tags, _READ, ALL_LEVELS,
              headers=CONDITIONS, answers={200: schemas.TAGS, 304: None}),
        Route("PUT", _TAG, dist_tags.set_tag, _CREATE, PROJECT, body=schemas.VERSION, answers=_TAGGED),
        Route("POST", _TAG, dist_tags.set_tag, _CREATE, PROJECT, body=schemas.VERSION, answers=_TAGGED),
        Route("DELETE", _TAG, dist_tags.delete_tag, _DESTROY, PROJECT, answers=_TAGGED),
        Route("POST", f"{_STAGES}/package/{{name:scoped}}", stages.stage, _CREATE,
              body=schemas.PUBLISH, answers={201: schemas.STAGED, 409: None, 507: None}),
        Route("GET", _STAGES, stages.index, _CREATE, parameters=schemas.STAGE_PARAMETERS,
              answers={200: schemas.STAGE_LIST}),
        Route("GET", _STAGE, stages.show, _CREATE, answers={200: schemas.STAGE_ITEM}),
        Route("GET", f"{_STAGE}/tarball", stages.tarball, _CREATE, headers=files.HEADERS, answers=files.ANSWERS),
        Route("POST", f"{_STAGE}/approve", stages.approve, _CREATE, answers={200: schemas.STAGED, 409: None}),
        Route("DELETE", _STAGE, stages.reject, _CREATE, answers={204: None, 409: None}),
        # Whoever may read the project and knows the id: it opens no project to anybody.
        Route("GET", f"{_PREVIEW}/{{name:scoped}}", previews.document, _READ, parameters=(schemas.WRITE,),
              headers=CONDITIONS, answers={200: schemas.PACKUMENT, 302: None, 304: None}),
        Route("GET", f"{_PREVIEW}/{{name:scoped}}/-/{{file:scoped}}", previews.download, _READ, face=TARBALL_FACE,
              headers=files.HEADERS, answers=files.ANSWERS),
        Route("PUT", f"{_PREVIEW}/{{name:scoped}}", stages.receive, _CREATE,
              body=schemas.PUBLISH, answers={200: schemas.STAGED, 409: None, 507: None}),
        # Below a group the project is found by the name first, and asked for the ability then.
        Route("PUT", _TAG, dist_tags.set_tag, _READ, _BELOW, also=_CREATE, body=schemas.VERSION, answers=_TAGGED),
        Route("POST", _TAG, dist_tags.set_tag, _READ, _BELOW, also=_CREATE, body=schemas.VERSION, answers=_TAGGED),
        Route("DELETE", _TAG, dist_tags.delete_tag, _READ, _BELOW, also=_DESTROY, answers=_TAGGED),
        *ACCESS_ROUTES,
        Route("GET", "/{name:scoped}", pages.document, _READ, ALL_LEVELS, denied=finding.forward_denied,
              parameters=(schemas.WRITE,), headers=CONDITIONS,
              answers={200: schemas.PACKUMENT, 302: None, 304: None}),
        Route("PUT", "/{name:scoped}", publish.publish, _CREATE, PROJECT, denied=editing.star_denied,
              body=schemas.PUBLISH, answers={200: schemas.PUBLISHED, 409: None, 507: None}),
        Route("PUT", "/{name:scoped}", publish.refuse, _READ, _BELOW, also=_SIGNED_IN, answers={404: None}),
        Route("GET", "/{name:scoped}/{version}", pages.manifest, _READ, ALL_LEVELS, denied=finding.forward_denied,
              headers=CONDITIONS, answers={200: schemas.MANIFEST, 302: None, 304: None}),
        Route("GET", "/{name:scoped}/-/{file:scoped}", downloads.download, _READ, ALL_LEVELS, face=TARBALL_FACE,
              headers=files.HEADERS, answers=files.ANSWERS),
        Route("PUT", "/{name:scoped}/-rev/{rev}", editing.unpublish_versions, _DESTROY, PROJECT,
              body=schemas.PACKUMENT_SENT, answers={200: schemas.DONE, 409: None}),
        Route("DELETE", "/{name:scoped}/-rev/{rev}", editing.unpublish_package, _DESTROY, PROJECT,
              answers={200: schemas.DONE, 409: None}),
        Route("DELETE", "/{name:scoped}/-/{file:scoped}/-rev/{rev}", editing.unpublish_tarball, _DESTROY, PROJECT,
              answers={200: schemas.DONE, 409: None}),
    ),
)  # fmt: skip

# What a browser and a waiting client ask, the same for all projects and groups.
_PAGE_FACE = Face(
    render=login.render,
    unknown=NotFound,
    hidden=NotFound,
    lacking=NotFound,
    errors=schemas.SIGN_IN_PAGE,
)
LOGIN_ROUTES = (
    Route("GET", f"{login.PAGE}/{{secret}}", login.show, Ability.PUBLIC, counted=True, face=_PAGE_FACE,
          answers={200: schemas.SIGN_IN_PAGE, 400: schemas.SIGN_IN_REFUSED, 404: None, 429: None}),
    Route("POST", f"{login.PAGE}/{{secret}}", login.confirm, Ability.PUBLIC, counted=True, face=_PAGE_FACE,
          body=schemas.SIGN_IN_FORM,
          answers={200: schemas.SIGN_IN_PAGE, 400: schemas.SIGN_IN_REFUSED,
                   401: None, 403: None, 404: None, 429: None}),
    Route("GET", f"{login.PAGE}/{{secret}}/done", login.done, Ability.PUBLIC, counted=True,
          answers={200: schemas.SIGNED_IN, 202: schemas.EMPTY, 400: schemas.SIGN_IN_REFUSED,
                   401: None, 403: None, 404: None, 429: None}),
)  # fmt: skip
