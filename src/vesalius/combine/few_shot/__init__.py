"""Few-shot: similar training cases before a question."""
