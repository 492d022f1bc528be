"""Croissant: what a data set is, in the JSON-LD that search engines and loaders read."""
