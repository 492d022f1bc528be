"""Metrics put to the test: what each of them sees of a text that was made wrong in one way."""
