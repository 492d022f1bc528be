"""HTTP: the gate, deadlines, bodies, problems, schemas, routes."""
