"""The endpoints, a module a subject; each parses, asks one verb and shapes what it returned."""
