"""COMBINE: models made of models, and the index they retrieve from."""
