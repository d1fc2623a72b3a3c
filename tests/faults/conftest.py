"""Fixtures of the faults."""

from tests.faults.fixtures import bed, victim

__all__ = ["bed", "victim"]
