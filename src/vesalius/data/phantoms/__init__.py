"""Drawn medical pictures whose truth is known: scenes, their words, and their pixels."""
