"""Content: what bodies hold, declared beside the routes that read or answer it. The OpenAPI document is made of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.server.parameters import Parameter

# A JSON Schema (2020-12). Content may stand in it wherever a schema may.
Schema = Mapping[str, object]

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Content:
    """A body: its schema, and the media types it comes as, the first of which the schema is about.

    A `name` makes the schema one of those that others refer to.
    """

    schema: Schema
    name: str = ""
    media_types: tuple[str, ...] = (JSON,)


Answers = Mapping[int, Content | None]

_KINDS: Mapping[str, Schema] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "object": {"type": "object"},
    "strings": {"type": "array", "items": {"type": "string"}},
    "integers": {"type": "array", "items": {"type": "integer"}},
    "list": {"type": "array"},
}

Field = str | Schema | Content


def entity(name: str, fields: Mapping[str, Field], *, optional: Collection[str] = ()) -> Content:
    """A JSON object. A field is a schema, or the word for one of `_KINDS`, with `?` behind it where it may be null."""
    return Content(
        {
            "type": "object",
            "properties": {field: _field(value) for field, value in fields.items()},
            "required": [field for field in fields if field not in optional],
        },
        name,
    )


def listing(of: Content) -> Content:
    """A JSON array."""
    return Content({"type": "array", "items": of})


def nullable(schema: Field) -> Schema:
    """A schema that admits null, too."""
    return {"anyOf": [_field(schema), {"type": "null"}]}


def text(media_type: str = "text/plain") -> Content:
    """Text of some kind."""
    return Content({"type": "string"}, media_types=(media_type,))


# What a family says no with unless it declares better.
ERROR = Content({}, "Error")
BINARY = Content({"type": "string", "format": "binary"}, media_types=("application/octet-stream",))


def parameter(one: Parameter, *, null: bool = True) -> Schema:
    """The schema of a parameter's value, with everything but its name; without null where that cannot be sent."""
    schema: dict[str, object] = {**_KINDS[one.kind]}
    if one.values:
        limited: dict[str, object] = {"enum": list(one.values)}
        if one.kind in {"strings", "integers"}:
            schema["items"] = {**_KINDS[one.kind.removesuffix("s")], **limited}
        else:
            schema |= limited
    if one.required and one.kind == "string" and not one.values:
        schema["minLength"] = 1
    if one.least is not None:
        schema["minimum"] = one.least
    if one.most is not None:
        schema["maximum"] = one.most
    if one.nullable and null:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*one.values, None]
    if one.default is not None:
        schema["default"] = one.default
    return {**schema, "description": one.description} if one.description else schema


def fields(parameters: Collection[Parameter]) -> dict[str, Field]:
    """Parameters as the fields of an entity that shows what they were set to: always with a value."""
    shown: dict[str, Field] = {}
    for one in parameters:
        shown[one.name] = parameter(one, null=False)
    return shown


def _field(value: Field) -> Schema | Content:
    if not isinstance(value, str):
        return value
    schema = _KINDS[value.removesuffix("?")]
    return {**schema, "type": [schema["type"], "null"]} if value.endswith("?") else schema
