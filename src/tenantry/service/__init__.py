"""The use cases: what tenantry does, reaching the world through ports only."""
