"""One read of the configured source, for the commands that answer without the service."""

from __future__ import annotations

from tenantry.config.loading import require_source
from tenantry.config.settings import Settings
from tenantry.core.snapshot import Snapshot
from tenantry.service.snapshots import last_good_unknown


async def snapshot_now(settings: Settings) -> Snapshot:
    """Read the tenants once; raises SourceError, or LastGoodUnknown where the service would not answer either."""
    from tenantry.runtime import shape_of, source_of
    from tenantry.service.refreshing import read_snapshot

    require_source(settings)
    source = source_of(settings.source)
    try:
        within = settings.source.read_timeout.total_seconds()
        snapshot = await read_snapshot(source, shape_of(settings), None, within)
    finally:
        await source.close()
    if not snapshot.complete:
        raise last_good_unknown(snapshot)
    return snapshot
