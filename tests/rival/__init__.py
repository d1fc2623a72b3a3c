"""A naive plugin, written to be compared with: what a short tutorial leads to."""
