"""Fixtures of the faults."""

from tests.faults.fixtures import bed, bed_of_mariadb, mariadb_victim, victim

__all__ = ["bed", "bed_of_mariadb", "mariadb_victim", "victim"]
