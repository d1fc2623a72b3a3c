"""The composition root: settings become adapters, adapters services, services an application with one lifetime."""

from tenantry.runtime.building import (
    SystemClock,
    cluster_of,
    feed_of,
    naming_of,
    policy_of,
    shape_of,
    source_of,
    state_of,
    tokens_of,
)
from tenantry.runtime.guard import desk_at
from tenantry.runtime.server import EmbeddedServer
from tenantry.runtime.service import Service, run

__all__ = [
    "EmbeddedServer",
    "Service",
    "SystemClock",
    "cluster_of",
    "desk_at",
    "feed_of",
    "naming_of",
    "policy_of",
    "run",
    "shape_of",
    "source_of",
    "state_of",
    "tokens_of",
]
