"""The settings: one table of them, and how file, environment and flags fill it."""
