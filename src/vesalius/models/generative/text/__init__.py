"""Families, templates and tokenizers: from dialogues to tokens."""
