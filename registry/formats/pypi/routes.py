"""The route table of PyPI: GitLab's PyPI package API (contract 1.1, 1.2)."""

from __future__ import annotations

from registry.access import Ability
from registry.errors import NotFound, Unauthenticated
from registry.formats.pypi import (
    downloads,
    examination,
    face,
    integrity,
    legacy,
    names,
    namespaces,
    pages,
    schemas,
    stages,
    standing,
    upload,
)
from registry.server import files
from registry.server.responses import CONDITIONS
from registry.server.routes import READABLE, Face, Format, Route

FACE = Face(
    render=face.render,
    unknown=NotFound,
    hidden=Unauthenticated,
    lacking=Unauthenticated,
    errors=schemas.ERRORS,
    project_text="404 Not Found",
    group_text="404 Not Found",
)

_STAGE = "/stages/{stage_id}"

FORMAT = Format(
    package_type="pypi",
    face=FACE,
    file_limit=3 * 1024**3,
    normalize=names.normalize,
    same_version=names.same_version,
    examine=examination.examine,
    # Where twine uploads to on the public index (legacy upload API).
    mounted={"/legacy": ""},
    title="PyPI",
    path_parameters=schemas.PATHS,
    routes=(
        # 409 is what PEP 752 has for a reserved name, and nothing else: skipping clients take it for done.
        Route("POST", "", upload.upload, Ability.CREATE_PACKAGE,
              body=schemas.UPLOAD, answers={201: schemas.UPLOADED, 409: None, 410: None, 507: None}),
        Route("GET", "/simple", pages.index, Ability.READ_PACKAGE, READABLE,
              parameters=(schemas.FORMAT,), headers=CONDITIONS, answers={200: schemas.INDEX, 304: None, 406: None}),
        Route("GET", "/simple/{name}", pages.project, Ability.READ_PACKAGE, READABLE,
              parameters=(schemas.FORMAT,), headers=CONDITIONS,
              answers={200: schemas.PROJECT, 302: None, 304: None, 406: None}),
        Route("GET", "/namespaces", namespaces.index, Ability.READ_PACKAGE, READABLE,
              answers={200: schemas.NAMESPACES}),
        Route("GET", "/namespace/{name}", namespaces.detail, Ability.READ_PACKAGE, READABLE,
              answers={200: schemas.NAMESPACE}),
        # hatch looks there for what it need not upload, as a devpi has it; it encodes the plus sign (pypi.md, B.4).
        Route("GET", "/+simple/{name}", pages.own, Ability.READ_PACKAGE,
              parameters=(schemas.FORMAT,), headers=CONDITIONS,
              answers={200: schemas.PROJECT, 304: None, 406: None}),
        Route("GET", "/pypi/{name}/json", legacy.document, Ability.READ_PACKAGE, READABLE,
              headers=CONDITIONS, answers={200: schemas.LEGACY, 304: None}),
        Route("GET", "/pypi/{name}/{version}/json", legacy.document, Ability.READ_PACKAGE, READABLE,
              headers=CONDITIONS, answers={200: schemas.LEGACY, 304: None}),
        Route("GET", "/names/{name}", standing.show, Ability.READ_PACKAGE, answers={200: schemas.NAME}),
        # As protected as deprecating is on npm: these decide what people install.
        Route("PATCH", "/names/{name}", standing.set_status, Ability.DESTROY_PACKAGE,
              parameters=standing.STATUS_PARAMETERS, answers={200: schemas.NAME}),
        Route("PATCH", "/names/{name}/versions/{version}", standing.yank_release, Ability.DESTROY_PACKAGE,
              parameters=standing.YANK_PARAMETERS, answers={200: schemas.NAME}),
        Route("PATCH", "/names/{name}/files/{file_name}", standing.yank_file, Ability.DESTROY_PACKAGE,
              parameters=standing.YANK_PARAMETERS, answers={200: schemas.NAME}),
        Route("GET", "/files/{sha256}/{file_name}", downloads.download, Ability.READ_PACKAGE, READABLE,
              headers=files.HEADERS, answers=files.ANSWERS),
        Route("GET", "/integrity/{name}/{version}/{file_name}/provenance", integrity.provenance, Ability.READ_PACKAGE,
              READABLE, parameters=(schemas.SHA256,), headers=CONDITIONS,
              answers={200: schemas.PROVENANCE, 304: None, 406: None}),
        Route("POST", _STAGE, stages.receive, Ability.CREATE_PACKAGE,
              body=schemas.UPLOAD, answers={201: schemas.UPLOADED, 409: None, 410: None, 507: None}),
        # Whoever may read the project and knows the id: it opens no project to anybody.
        Route("GET", f"{_STAGE}/simple", pages.preview_index, Ability.READ_PACKAGE,
              parameters=(schemas.FORMAT,), headers=CONDITIONS, answers={200: schemas.INDEX, 304: None, 406: None}),
        Route("GET", f"{_STAGE}/simple/{{name}}", pages.preview, Ability.READ_PACKAGE,
              parameters=(schemas.FORMAT,), headers=CONDITIONS,
              answers={200: schemas.PROJECT, 302: None, 304: None, 406: None}),
        Route("GET", f"{_STAGE}/files/{{sha256}}/{{file_name}}", stages.download, Ability.READ_PACKAGE,
              headers=files.HEADERS, answers=files.ANSWERS),
    ),
)  # fmt: skip
