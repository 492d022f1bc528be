"""Retrieval: an index of training pictures, and neighbours that are never the patient's own."""
