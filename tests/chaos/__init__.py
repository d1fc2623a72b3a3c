"""Chaos: everything around two replicas is killed, held still and cut off, while the tenants change all the time."""
