"""The shop as files for an assistant: catalogue.csv and policy.md."""

import csv
from pathlib import Path
from typing import Final

from hack.shop.state import RETAIL_FOLDER, Shop

COLUMNS: Final = ("product_id", "item_id", "name", "options", "price", "currency", "available")


def write_catalogue(shop: Shop, path: Path) -> int:
    """One variant a row, sorted by product and item. Returns the number of rows."""
    rows = [
        (
            product["product_id"],
            variant["item_id"],
            product["name"],
            "; ".join(f"{name}: {value}" for name, value in sorted(variant["options"].items())),
            f"{variant['price']:.2f}",
            "USD",
            "yes" if variant["available"] else "no",
        )
        for product in sorted(shop.products.values(), key=lambda each: each["name"])
        for variant in sorted(product["variants"].values(), key=lambda each: each["item_id"])
    ]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return len(rows)


def write_policy(data: Path, path: Path) -> None:
    """The policy of the data package. data: the unpacked package, or the folder that has policy.md."""
    found = next(each for each in (data / "policy.md", data / RETAIL_FOLDER / "policy.md") if each.is_file())
    path.write_text(found.read_text())
