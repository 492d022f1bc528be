"""EVALUATE: scores, intervals, comparisons and reports, from predictions alone."""
