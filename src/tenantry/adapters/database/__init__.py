"""The tenants' database, through SQLAlchemy Core: PostgreSQL and SQLite."""
