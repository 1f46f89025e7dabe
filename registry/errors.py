"""Errors: what went wrong, said once; each face decides how it looks on the wire.

    RegistryError            500
      Invalid                400
        DigestMismatch       400
        InvalidField         400   one named field breaks a rule
      Unauthenticated        401
      Forbidden              403
      NotFound               404   the name is absent here: an upstream may be asked
        FileNotFound         404   the name is here, the file is not: nobody else may be asked
      MethodNotAllowed       405
      TooSlow                408
      Conflict               409   (PyPI and npm map it to GitLab's 400 and 403)
        Taken                409   (GitLab's API maps it to 400)
      Gone                   410   it was offered once, and never will be again
      PreconditionFailed     412
      TooLarge               413
      UnsupportedMedia       415
      Unprocessable          422
      TooBusy                429   come back after `retry_after` seconds
      UpstreamUnavailable    502
      Unavailable            503   a part we depend on is away, come back after `retry_after` seconds
      StorageFull            507

The text is shown to clients: it names the thing and what would be accepted, and never holds a secret.
A subclass's docstring is its default text.
"""

from __future__ import annotations


class RegistryError(Exception):
    """Internal Server Error"""

    status = 500

    def __init__(self, text: str | None = None) -> None:
        self.text = text or type(self).__doc__ or ""
        super().__init__(self.text)


class Invalid(RegistryError):
    """Bad request"""

    status = 400


class DigestMismatch(Invalid):
    """The content does not have the declared digest"""


class InvalidField(Invalid):
    """A field breaks a rule"""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


class Unauthenticated(RegistryError):
    """Unauthorized

    `code` is the OAuth error (RFC 6750, section 3.1) when a token was understood but is no longer good:
    `invalid_token`.
    """

    status = 401

    def __init__(self, text: str | None = None, *, code: str | None = None) -> None:
        super().__init__(text or "401 Unauthorized")
        self.code = code


class Forbidden(RegistryError):
    """Forbidden

    `code` is `insufficient_scope` (RFC 6750, section 3.1) when the token lacks the scope.
    """

    status = 403

    def __init__(self, text: str | None = None, *, code: str | None = None) -> None:
        super().__init__(text or "403 Forbidden")
        self.code = code


class NotFound(RegistryError):
    """404 Not Found"""

    status = 404


class FileNotFound(NotFound):
    """404 Package Not Found"""


class MethodNotAllowed(RegistryError):
    """405 Method Not Allowed"""

    status = 405

    def __init__(self, allowed: frozenset[str]) -> None:
        super().__init__("405 Method Not Allowed")
        self.allowed = allowed


class TooSlow(RegistryError):
    """The request body arrives too slowly"""

    status = 408


class Conflict(RegistryError):
    """Conflict"""

    status = 409


class Taken(Conflict):
    """A path that must be unique is not"""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} has already been taken")
        self.field = field


class Gone(RegistryError):
    """410 Gone"""

    status = 410


class PreconditionFailed(RegistryError):
    """412 Precondition Failed"""

    status = 412


class TooLarge(RegistryError):
    """File is too large"""

    status = 413


class UnsupportedMedia(RegistryError):
    """Unsupported media type"""

    status = 415


class Unprocessable(RegistryError):
    """422 Unprocessable Entity"""

    status = 422


class TooBusy(RegistryError):
    """429 Too Many Requests"""

    status = 429

    def __init__(self, text: str | None = None, *, retry_after: int = 5) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class UpstreamUnavailable(RegistryError):
    """The upstream registry did not answer"""

    status = 502


class Unavailable(RegistryError):
    """The registry cannot answer for the moment"""

    status = 503

    def __init__(self, text: str | None = None, *, retry_after: int = 5) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class StorageFull(RegistryError):
    """The object store is full"""

    status = 507
