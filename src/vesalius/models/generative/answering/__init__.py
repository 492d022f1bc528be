"""Answers: generation, streaming, cached prefixes."""
