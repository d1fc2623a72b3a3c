"""HTTP: the plugin protocol, the probes, and the OpenAPI document."""
