"""How the state database became what it is, step by step, for Alembic."""
