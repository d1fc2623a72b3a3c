"""From settings to the parts that are made of them."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tenantry.adapters.database.feed import open_feed
from tenantry.adapters.database.source import DatabaseSource, Limits, open_source
from tenantry.adapters.database.state import StateStore, open_state
from tenantry.adapters.pod import is_in_cluster
from tenantry.adapters.tokens import MountedTokens, Report
from tenantry.adapters.webhook import Webhook, secret_from
from tenantry.config.contradictions import OFF
from tenantry.config.settings import NamingSettings, Settings, SourceSettings
from tenantry.core.errors import ConfigurationError
from tenantry.core.fields import Naming
from tenantry.core.guard import GuardMode, Policy
from tenantry.core.mapping import TableShape
from tenantry.service.feeding import Feed

if TYPE_CHECKING:
    from tenantry.adapters.kubernetes import Kubernetes


class SystemClock:
    """The clocks of this machine."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the time of day in UTC."""
        return datetime.now(UTC)


def shape_of(settings: Settings) -> TableShape:
    """Return what the configuration says about the table."""
    source = settings.source
    return TableShape(
        table="" if source.query else source.table,
        id=source.id,
        state=source.state,
        parameters=source.parameters,
        serve=source.serve,
        retire=source.retire,
        max_text=source.max_text,
        fields=settings.fields,
        defaults=settings.defaults,
        naming=naming_of(settings.naming),
        views=settings.views,
    )


def naming_of(naming: NamingSettings) -> Naming:
    """Return how names are made."""
    return Naming(
        name_field=None if naming.name == OFF else naming.name,
        label_field=None if naming.label == OFF else naming.label,
        length=naming.length,
        always_hash=naming.hash == "always",
    )


def source_of(source: SourceSettings) -> DatabaseSource:
    """Open the configured source; raises ConfigurationError."""
    if source.url is None:
        raise ConfigurationError(["There is no source."])
    limits = Limits(source.statement_timeout, source.lock_timeout, source.connect_timeout, source.read_timeout)
    return open_source(source.url.reveal(), source.table, source.id, limits, query=source.query)


def feed_of(settings: Settings) -> Feed | None:
    """Return what tells of changes in the configured source; None where the database has no such thing."""
    source = settings.source
    if source.url is None or source.feed == OFF:
        return None
    limits = Limits(source.statement_timeout, source.lock_timeout, source.connect_timeout, source.read_timeout)
    return open_feed(
        source.url.reveal(),
        None if source.query is not None else source.table,
        limits,
        channel=source.channel,
        direct=None if source.feed_url is None else source.feed_url.reveal(),
        every=settings.snapshot.refresh.total_seconds(),
    )


def tokens_of(settings: Settings, report: Report) -> tuple[MountedTokens, MountedTokens]:
    """Return the plugin's tokens and the admin's; raises ConfigurationError if one is both.

    `report` is told of changes, and of what cannot be used.
    """
    plugin, admin = settings.tokens, settings.admin
    tokens = MountedTokens(
        value=plugin.value,
        file=plugin.file,
        directory=plugin.directory,
        recheck=plugin.recheck,
        report=report,
    )
    admin_tokens = MountedTokens(
        value=admin.token,
        file=admin.token_file,
        directory=None,
        recheck=plugin.recheck,
        report=lambda event, fields: report(event, {"of": "admin", **fields}),
    )
    if admin_tokens.shares_with(tokens):
        raise ConfigurationError(
            ["The admin token is one of the plugin's too: whoever asks as Argo CD would be let into the admin API."]
        )
    return tokens, admin_tokens


def policy_of(settings: Settings) -> Policy:
    """Return what the configuration says about removals."""
    guard, naming = settings.guard, naming_of(settings.naming)
    identity = guard.identity
    if identity is None:
        identity = (naming.name_field,) if naming.name_field else ()
    return Policy(GuardMode(guard.mode), guard.settle.total_seconds(), guard.limits, identity)


def cluster_of(settings: Settings) -> Kubernetes | None:
    """Return the cluster whose ApplicationSets are told of changes; None where there is no access to one.

    Raises ConfigurationError, also where there has to be access.
    """
    kubernetes = settings.kubernetes
    if kubernetes.nudge == OFF:
        return None
    if kubernetes.kubeconfig is not None:
        from tenantry.adapters.kubernetes import of_kubeconfig

        return of_kubeconfig(kubernetes.kubeconfig)
    if is_in_cluster(os.environ):
        from tenantry.adapters.kubernetes import of_service_account

        return of_service_account()
    if kubernetes.nudge == "on":
        raise ConfigurationError(
            ["kubernetes.nudge is on, without access to a cluster: run in a pod, or give kubernetes.kubeconfig."]
        )
    return None


def webhook_of(settings: Settings, report: Report) -> Webhook | None:
    """Return what tells of holds; None where nobody is to be told."""
    notify = settings.notify
    if notify.url is None:
        return None
    secret = secret_from(notify.secret, notify.secret_file)
    return Webhook(notify.url, secret, notify.timeout.total_seconds(), report)


def state_of(settings: Settings) -> StateStore:
    """Return the store of the configured state database; raises ConfigurationError."""
    timeout = settings.state.timeout
    return open_state(settings.state_url.reveal(), timeout, timeout, time.time)
