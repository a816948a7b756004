"""EASE: which items are bought by the same customers, in closed form (Steck, "Embarrassingly shallow autoencoders for
sparse data", WWW 2019, arXiv 1905.03375).

With the Gram matrix G of the customers' items and P = (G + lambda I)^-1, the weight from item i to item j is
-P[i, j] / P[j, j], and 0 from an item to itself.  Where customers are fewer than items, P comes from the smaller matrix
of customers by Woodbury's identity; the results are equal.
"""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Ints = NDArray[np.int64]

_ROWS: Final = 1000
"""Customers whose purchases are dense in memory at once."""
REGULARISATION: Final = 1000.0
"""Of binary purchases. Chosen on the lines before the test lines of the evaluation; the paper has 200 to 1,000."""


class Ease(Protocol):
    """A fitted model."""

    def scores(self, own: Matrix) -> Matrix:
        """own: [customers, items], the weight of each item. Returns [customers, items]: affinity to every item."""
        ...

    def weights(self, sources: Ints, target: int) -> Matrix:
        """[sources]: how much each source item adds to the target."""
        ...


def fit_ease(customer: Ints, item: Ints, shape: tuple[int, int], regularisation: float = REGULARISATION) -> Ease:
    """customer, item: one entry for each purchase, numbered from 0; shape: (customers, items).

    Repeated purchases count once.  Time grows with the third power of the smaller side, memory with its square.
    """
    customers, items = shape
    if customers < items:
        return _ByCustomers(_dense(customer, item, 0, customers, items), regularisation)
    gram = np.zeros((items, items), dtype=np.float32)
    for start in range(0, customers, _ROWS):
        rows = _dense(customer, item, start, min(customers, start + _ROWS), items)
        gram += rows.T @ rows
    return _ByItems(gram, regularisation)


def _dense(customer: Ints, item: Ints, start: int, end: int, items: int) -> Matrix:
    """[end - start, items]: 1 where a customer of the range bought the item."""
    matrix = np.zeros((end - start, items), dtype=np.float32)
    within = (customer >= start) & (customer < end)
    matrix[customer[within] - start, item[within]] = 1
    return matrix


def _inverse(matrix: Matrix, regularisation: float) -> Matrix:
    """Inverse of a symmetric positive semidefinite matrix plus the regularisation; overwrites the matrix."""
    matrix[np.diag_indices_from(matrix)] += np.float32(regularisation)
    return np.linalg.inv(matrix).astype(np.float32, copy=False)


class _ByItems:
    """Keeps P: [items, items]."""

    def __init__(self, gram: Matrix, regularisation: float) -> None:
        self._inverse = _inverse(gram, regularisation)
        self._diagonal = np.diag(self._inverse).copy()

    def scores(self, own: Matrix) -> Matrix:
        result: Matrix = own - own @ self._inverse / self._diagonal
        return result

    def weights(self, sources: Ints, target: int) -> Matrix:
        result: Matrix = np.where(sources == target, 0, -self._inverse[sources, target] / self._diagonal[target])
        return result.astype(np.float32)


class _ByCustomers:
    """Keeps X and (X X' + lambda I)^-1 X, both [customers, items]: P = (I - X' K X) / lambda."""

    def __init__(self, bought: Matrix, regularisation: float) -> None:
        self._bought = bought
        self._solved = _inverse(bought @ bought.T, regularisation) @ bought
        self._lambda = np.float32(regularisation)
        self._diagonal = (1 - np.einsum("ij,ij->j", bought, self._solved)) / self._lambda

    def scores(self, own: Matrix) -> Matrix:
        product = (own - (own @ self._bought.T) @ self._solved) / self._lambda
        result: Matrix = own - product / self._diagonal
        return result

    def weights(self, sources: Ints, target: int) -> Matrix:
        product = -(self._bought[:, sources].T @ self._solved[:, target]) / self._lambda
        result: Matrix = np.where(sources == target, 0, -product / self._diagonal[target])
        return result.astype(np.float32)
