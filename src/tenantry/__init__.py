"""tenantry: the tenants in a database become Argo CD Applications."""

__version__ = "0.1.0"
