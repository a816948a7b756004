"""`chatscale evaluate`: data sets, baselines, numbers with intervals, the report."""
