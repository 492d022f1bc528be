"""Rows that share an image, and how each architecture lays them out."""
