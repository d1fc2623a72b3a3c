"""Faults planted into the guard, each of which the tests must catch."""
