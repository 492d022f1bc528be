"""How rows and pictures are read, whatever the set: tables, folders, archives, the hub."""
