"""Every setting with its default and limits: a laboratory's file rests on them, and a default that
changes is a line of the changelog.
"""

from stream.config import load_config
from tests.approved import approved

SAID = ("default", "enum", "const", "pattern", "format")
LIMITS = (
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
)


def settings(schema, parts, name=""):
    """A line a setting: name, kind, default, limits."""
    schema = {**parts.get(schema.get("$ref", "").rpartition("/")[2], {}), **schema}
    if inner := schema.get("properties"):
        for key, one in inner.items():
            yield from settings(one, parts, f"{name}.{key}" if name else key)
        return
    options = schema.get("anyOf", [schema])
    kinds = [kind_of(one, parts) for one in options]
    default = f" = {schema['default']!r}" if "default" in schema else ""
    yield f"{name}: {' or '.join(kinds)}{default}"
    for one in (*options, schema.get("items", {}), schema.get("additionalProperties", {})):
        if isinstance(one, dict) and "$ref" in one:
            yield from settings(one, parts, f"{name}[]")


def kind_of(schema, parts):
    """A kind of value with its limits."""
    said = [str(schema.get("type", schema.get("$ref", "").rpartition("/")[2]))]
    said += [f"{limit} {schema[limit]}" for limit in LIMITS if limit in schema]
    said += [f"{name} {schema[name]}" for name in SAID[1:] if name in schema]
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            said.append(f"of ({kind_of(schema[name], parts)})")
    said += [f"of ({kind_of(one, parts)})" for one in schema.get("prefixItems", ())]
    return ", ".join(said)


def test_every_setting():
    schema = type(load_config(None)).model_json_schema()
    approved(__file__, "settings", "\n".join(settings(schema, schema["$defs"])))
