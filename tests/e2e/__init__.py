"""Scenarios on the real thing: Argo CD's own ApplicationSet controller, before a real API server."""
