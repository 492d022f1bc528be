"""Weights: loading, folders, lineage, counts, sizes, tiny ones."""
