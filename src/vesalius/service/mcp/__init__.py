"""The steps as tools for agents, over standard input and output. Knows no HTTP; keeps nothing."""
