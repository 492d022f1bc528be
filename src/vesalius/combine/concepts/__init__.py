"""Concepts by neighbours and ensembles, and captions guided or ordered by them."""
