"""docs/crd.md and docs/crd-shopassistant.md: every field, from the schema that the API server enforces.

`kubectl explain` shows one level at a time; this shows them all, with defaults, bounds and rules.
"""

import json
from collections.abc import Iterator
from typing import Any

from hack.generators.markdown import GENERATED, table

Schema = dict[str, Any]

_BOUNDS = (("minimum", "at least {}"), ("maximum", "at most {}"), ("maxLength", "at most {} characters"),
           ("maxItems", "at most {} items"), ("maxProperties", "at most {} keys"))  # fmt: skip


def render(crd: dict[str, Any]) -> str:
    """Write the whole document for a CRD with one version."""
    names, (version,) = crd["spec"]["names"], crd["spec"]["versions"]
    root = version["schema"]["openAPIV3Schema"]
    parts = {part: root["properties"][part] for part in ("spec", "status")}
    return _TEMPLATE.format(
        generated=GENERATED.format(source="operator/chatscale/api"),
        kind=names["kind"],
        api_version=f"{crd['spec']['group']}/{version['name']}",
        description=root["description"],
        short_name=names["shortNames"][0],
        plural=names["plural"],
        subresources=_subresources(version, names),
        spec=_fields("spec", parts["spec"]),
        status=_fields("status", parts["status"]),
        rules=table(("Where", "What is refused"), _rules("", root)),
        columns=table(
            ("Column", "Field", "Shown"),
            [
                (column["name"], f"`{column['jsonPath']}`", "with `-o wide`" if column.get("priority") else "always")
                for column in version["additionalPrinterColumns"]
            ],
        ),
    )


def _subresources(version: Schema, names: Schema) -> str:
    if "scale" not in version["subresources"]:
        return "with a `status` subresource."
    command = f"`kubectl scale {names['singular']}/NAME --replicas=N`"
    return f"with `status` and `scale` subresources, so\n{command} works in mode Fixed."


def _fields(prefix: str, schema: Schema) -> str:
    return table(("Field", "Type", "Default", "Meaning"), _rows(prefix, schema))


def _rows(prefix: str, schema: Schema) -> Iterator[tuple[str, str, str, str]]:
    """One row per field, a parent before its children."""
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}.{name}"
        yield f"`{path}`", _type(field), _default(field, required=name in required), _meaning(field)
        yield from _rows(f"{path}[]" if field.get("type") == "array" else path, _children(field))


def _children(field: Schema) -> Schema:
    children: Schema = field.get("items", field) if field.get("type") == "array" else field
    return children


def _type(field: Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    match field.get("type"):
        case "array":
            return f"list of {_type(field['items'])}"
        case "object" if "additionalProperties" in field:
            return f"map to {_type(field['additionalProperties'])}"
        case kind:
            return str(field.get("format") or kind)


def _default(field: Schema, *, required: bool) -> str:
    if "default" not in field:
        return "required" if required else ""
    text = json.dumps(field["default"])
    # A default of a whole object repeats those of its fields, which have rows of their own.
    return "" if text.startswith("{") else f"`{text}`"


def _meaning(field: Schema) -> str:
    facts = []
    if "enum" in field:
        facts.append("One of " + ", ".join(f"`{value}`" for value in field["enum"]) + ".")
    bounds = [text.format(field[key]) for key, text in _BOUNDS if key in field]
    if bounds:
        facts.append(", ".join(bounds).capitalize() + ".")
    return " ".join([field.get("description", ""), *facts]).strip()


def _rules(path: str, schema: Schema) -> Iterator[tuple[str, str]]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"`{path.removeprefix('.') or 'the object'}`", f"{rule['message']}"
    for name, field in schema.get("properties", {}).items():
        yield from _rules(f"{path}.{name}", field)
    if "items" in schema:
        yield from _rules(f"{path}[]", schema["items"])


_TEMPLATE = """\
{generated}

# {kind} ({api_version})

{description} Short name `{short_name}`; namespaced; {subresources} Samples: [manifests/samples](../manifests/samples).

## spec

{spec}
## status

{status}
## Rules between fields

The API server refuses these when you apply, with this message:

{rules}
## Columns of `kubectl get {plural}`

{columns}"""
