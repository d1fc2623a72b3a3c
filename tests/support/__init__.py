"""Real parts for tests: PostgreSQL, PgBouncer, a proxy that breaks things, running services."""
