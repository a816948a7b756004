"""Signals of faked reviews: ratings against the consensus, groups, bursts, extremes, copied text. Pure."""
