"""How hard Hypothesis looks: the same examples each time, or with TENANTRY_FUZZ=5000 so many new ones."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_MORE = int(os.environ.get("TENANTRY_FUZZ", "0"))

settings.register_profile(
    "fuzz",
    deadline=None,
    derandomize=not _MORE,
    max_examples=_MORE or 100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fuzz")
