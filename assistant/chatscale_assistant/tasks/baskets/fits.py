"""Fitted shops, kept in memory for the next customer."""

from collections import OrderedDict
from datetime import date
from typing import Final

from chatscale_assistant.tasks.baskets.purchases import day_of, read_purchases
from chatscale_assistant.tasks.baskets.recommender import Recommender

KEPT_FITS: Final = 2
"""50 to 200 MB each."""


class Fits:
    """The last fitted shops, so that a batch does not fit again for each customer.

    In memory only.  Two threads may fit the same purchases at once; the results are equal.
    """

    def __init__(self) -> None:
        self._fits: OrderedDict[tuple[str, date], Recommender] = OrderedDict()

    def get(self, purchases: str, today: date) -> Recommender:
        """The fitted purchases. Raises InvalidRequestError for a wrong CSV."""
        key = (purchases, today)
        found = self._fits.pop(key, None) or Recommender(read_purchases(purchases, until=today), day_of(today))
        self._fits[key] = found
        while len(self._fits) > KEPT_FITS:
            self._fits.popitem(last=False)
        return found
