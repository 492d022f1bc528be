"""Detectors: which of the training boxes' classes a picture shows, and where."""
