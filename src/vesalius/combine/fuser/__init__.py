"""The fuser: a language model that writes one answer of several."""
