"""How the `model` of a request becomes a ChatModel. Known models come from the catalog, with or without replicas."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from chatscale_contract.openai.errors import ApiError
from chatscale_gateway.routing.catalog import Catalog, Model, ModelKey

_SHOWN_NAME_LENGTH: Final = 128
"""Characters of an unknown name that the error repeats."""
_SHOWN_MATCHES: Final = 20
"""Maximum number of full names in one error."""


Allowed = Callable[[ModelKey], bool]
"""Whether the caller may use a ChatModel."""


def allow_all(_model: ModelKey) -> bool:
    """Every ChatModel."""
    return True


class NameIndex:
    """The names of one catalog.

    Precedence: `namespace/name`, name, `spec.servedName`, alias.
    """

    __slots__ = ("_by_alias", "_by_full_name", "_by_name", "_by_served_name", "models")

    def __init__(self, catalog: Catalog) -> None:
        self.models: Final = tuple(sorted(catalog.models.values(), key=lambda model: str(model.key)))
        self._by_full_name = {str(model.key): model for model in self.models}
        self._by_name = _group((model.key.name, model) for model in self.models)
        self._by_served_name = _group((model.served_name, model) for model in self.models)
        self._by_alias = _group((alias, model) for model in self.models for alias in set(model.routing.aliases))

    def resolve(self, name: str, namespace: str | None = None, allowed: Allowed = allow_all) -> Model:
        """The ChatModel for `name`. namespace: preferred where several ChatModels have the name.

        allowed: other ChatModels count as unknown, so that no error shows that they exist.
        Raises ApiError 404. If the name is ambiguous, the error lists the full names.
        """
        found = self._by_full_name.get(name)
        if found and allowed(found.key):
            return found
        for index in (self._by_name, self._by_served_name):
            matches = _allowed(index.get(name, ()), allowed)
            if len(matches) == 1:
                return matches[0]
            preferred = [model for model in matches if model.key.namespace == namespace]
            if len(preferred) == 1:
                return preferred[0]
            if matches:
                raise _ambiguous(name, matches)
        matches = _allowed(self._by_alias.get(name, ()), allowed)
        if len(matches) == 1:
            return matches[0]
        raise _ambiguous(name, matches) if matches else model_not_found(name)


def alias_conflicts(catalog: Catalog) -> Mapping[str, tuple[ModelKey, ...]]:
    """Aliases that several ChatModels have, with those ChatModels, sorted. Such an alias names none of them."""
    owners: dict[str, list[ModelKey]] = {}
    for key, model in catalog.models.items():
        for alias in set(model.routing.aliases):
            owners.setdefault(alias, []).append(key)
    return {alias: tuple(sorted(keys, key=str)) for alias, keys in sorted(owners.items()) if len(keys) > 1}


def model_not_found(name: str) -> ApiError:
    """OpenAI's error for an unknown model."""
    return ApiError(
        404,
        f"the model `{_shortened(name)}` does not exist; GET /v1/models lists the models",
        param="model",
        code="model_not_found",
    )


def _ambiguous(name: str, matches: tuple[Model, ...]) -> ApiError:
    names = [f"`{model.key}`" for model in matches[:_SHOWN_MATCHES]]
    more = f" and {len(matches) - _SHOWN_MATCHES} more" if len(matches) > _SHOWN_MATCHES else ""
    return ApiError(
        404,
        f"the model `{_shortened(name)}` is ambiguous; use one of {', '.join(names)}{more}",
        param="model",
        code="model_not_found",
    )


def _allowed(models: tuple[Model, ...], allowed: Allowed) -> tuple[Model, ...]:
    return tuple(model for model in models if allowed(model.key))


def _shortened(name: str) -> str:
    return name if len(name) <= _SHOWN_NAME_LENGTH else f"{name[:_SHOWN_NAME_LENGTH]}..."


def _group(named: Iterable[tuple[str, Model]]) -> Mapping[str, tuple[Model, ...]]:
    groups: dict[str, tuple[Model, ...]] = {}
    for name, model in named:
        groups[name] = (*groups.get(name, ()), model)
    return groups
