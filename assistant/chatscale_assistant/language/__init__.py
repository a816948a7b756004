"""The language of a message and of an answer; numbers, units and dates in the three languages."""
