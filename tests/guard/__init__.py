"""The guard as a whole, held against a plain model of its invariant."""
