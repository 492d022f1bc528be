"""PREPARE: read data sets, check, split and show them. Knows no model and no score."""
