"""Concept detection: which of the training set's concepts a picture shows."""
