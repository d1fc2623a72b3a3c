"""The tenants' database, through SQLAlchemy Core: PostgreSQL, SQLite, MySQL and MariaDB."""
