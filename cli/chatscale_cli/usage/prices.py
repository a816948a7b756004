"""Prices of ChatModels, by `namespace/name`. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from chatscale.api.v1alpha1.price import PriceSpec
from chatscale_cli.errors import CommandError
from chatscale_contract.money import Price

KIND: Final = "ChatModel"


def read_prices(manifests: Iterable[Any], default_namespace: str = "default") -> Mapping[str, Price]:
    """`spec.price` of each ChatModel; other objects and other fields do not matter. Raises CommandError."""
    found: dict[str, Price] = {}
    for manifest in manifests:
        if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
            continue
        meta, spec = manifest.get("metadata") or {}, manifest.get("spec") or {}
        key = f"{meta.get('namespace') or default_namespace}/{meta.get('name')}"
        if spec.get("price") is None:
            continue
        try:
            found[key] = PriceSpec.model_validate(spec["price"]).as_price()
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(["spec.price", *map(str, first["loc"])])
            raise CommandError(f"ChatModel {key}: {field}: {first['msg']}, found {first['input']!r}") from error
    return found
