"""The steps, in the order their numbers say."""
