"""Figures, each measured side by side with its rivals in one run: `python -m bench`."""
