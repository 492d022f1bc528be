"""SERVE: an HTTP API and a chat over any run: limits, privacy and state around a model."""
