"""Data sets written in the formats of others: the inverse of what ``data.reading`` reads."""
