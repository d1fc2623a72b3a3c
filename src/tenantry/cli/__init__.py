"""The command line: what a person at a terminal, or a pipeline, asks of tenantry."""
