"""tenantry: the tenants in a database become Argo CD Applications."""
