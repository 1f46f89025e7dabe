"""The route table of PyPI: GitLab's PyPI package API (contract 1.1, 1.2)."""

from __future__ import annotations

from registry.access import Ability
from registry.errors import NotFound, Unauthenticated
from registry.formats.pypi import downloads, examination, face, integrity, names, namespaces, pages, schemas, upload
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

FORMAT = Format(
    package_type="pypi",
    face=FACE,
    file_limit=3 * 1024**3,
    normalize=names.normalize,
    examine=examination.examine,
    title="PyPI",
    path_parameters=schemas.PATHS,
    routes=(
        Route("POST", "", upload.upload, Ability.CREATE_PACKAGE,
              body=schemas.UPLOAD, answers={201: schemas.UPLOADED, 507: None}),
        Route("GET", "/simple", pages.index, Ability.READ_PACKAGE, READABLE,
              parameters=(schemas.FORMAT,), headers=CONDITIONS, answers={200: schemas.INDEX, 304: None, 406: None}),
        Route("GET", "/simple/{name}", pages.project, Ability.READ_PACKAGE, READABLE,
              parameters=(schemas.FORMAT,), headers=CONDITIONS,
              answers={200: schemas.PROJECT, 302: None, 304: None, 406: None}),
        Route("GET", "/namespaces", namespaces.index, Ability.READ_PACKAGE, READABLE,
              answers={200: schemas.NAMESPACES}),
        Route("GET", "/namespace/{name}", namespaces.detail, Ability.READ_PACKAGE, READABLE,
              answers={200: schemas.NAMESPACE}),
        Route("GET", "/files/{sha256}/{file_name}", downloads.download, Ability.READ_PACKAGE, READABLE,
              headers=files.HEADERS, answers=files.ANSWERS),
        Route("GET", "/integrity/{name}/{version}/{file_name}/provenance", integrity.provenance, Ability.READ_PACKAGE,
              READABLE, parameters=(schemas.SHA256,), headers=CONDITIONS,
              answers={200: schemas.PROVENANCE, 304: None, 406: None}),
    ),
)  # fmt: skip
