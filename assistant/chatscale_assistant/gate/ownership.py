"""Whose data a call and a result are about."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from chatscale_assistant.gate.rules import CUSTOMER_NAMES, Lookup, ToolRule, names_object, snake_case

_MAX_DEPTH: Final = 40
"""Of a result. A deeper one counts as another customer's."""


def is_customer(value: Any, customer: str) -> bool:
    """Whether a value is the customer's id. Only strings and whole numbers are ids; no spaces or case are forgiven."""
    return (type(value) is str or type(value) is int) and str(value) == customer


def named_values(value: Any, names: frozenset[str], depth: int = 0) -> Iterator[Any]:
    """The values of all keys that are one of the names (in snake case), at any depth. Raises ValueError if too deep."""
    if depth > _MAX_DEPTH:
        raise ValueError("too deep")
    if isinstance(value, Mapping):
        for key, each in value.items():
            if snake_case(str(key)) in names:
                yield each
            else:
                yield from named_values(each, names, depth + 1)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from named_values(each, names, depth + 1)


def customer_arguments(arguments: Mapping[str, Any]) -> list[Any]:
    """The arguments that name a customer. A list of customers counts as one value, which is no id."""
    return list(named_values(arguments, CUSTOMER_NAMES))


def owned_arguments(arguments: Mapping[str, Any], rule: ToolRule) -> list[tuple[str, Any, Lookup]]:
    """Parameter, id and lookup of each object that the arguments name, at any depth; a list names several."""
    found: list[tuple[str, Any, Lookup]] = []
    for parameter, lookup in rule.owned.items():
        name = snake_case(parameter)
        for value in named_values(arguments, frozenset({name, f"{name}s"})):
            values = value if isinstance(value, list) else [value]
            found.extend((parameter, each, lookup) for each in values)
    return found


def unowned_objects(arguments: Any, rule: ToolRule) -> bool:
    """Whether a key of the arguments, at any depth, names an object whose owner no rule checks."""
    if isinstance(arguments, list | tuple):
        return any(unowned_objects(each, rule) for each in arguments)
    if not isinstance(arguments, Mapping):
        return False
    covered = {snake_case(name) for name in rule.owned} | rule.vouched
    covered |= {f"{name}s" for name in covered}
    return any(
        (names_object(name) and snake_case(name) not in covered) or unowned_objects(each, rule)
        for name, each in arguments.items()
    )


def owner_of(data: Any, field: str | None) -> Any:
    """The owner of an object; None if it has none. field: empty if the result is the id, None for any usual name."""
    if field == "":
        return data
    if not isinstance(data, Mapping):
        return None
    if field is not None:
        return data.get(field)
    owners = [_id_of(value) for key, value in data.items() if snake_case(str(key)) in CUSTOMER_NAMES]
    return owners[0] if len(owners) == 1 else None


def _id_of(value: Any) -> Any:
    """`{"id": "c1", ...}` and `"c1"` name the same customer."""
    return value.get("id") if isinstance(value, Mapping) else value


def is_only_of(data: Any, customer: str) -> bool:
    """Whether no field at any depth names another customer."""
    try:
        return all(is_customer(_id_of(value), customer) for value in named_values(data, CUSTOMER_NAMES))
    except ValueError:
        return False


def names_customer(data: Any) -> bool:
    """Whether an object, or each object of a list, has its owner."""
    if isinstance(data, list):
        return bool(data) and all(owner_of(each, None) is not None for each in data)
    return owner_of(data, None) is not None
