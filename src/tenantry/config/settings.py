"""The settings, by section: name, type, bounds, default and help of each.

The fields below are the only place where a setting is written down. The reader of file, environment and flags, the
options of the command line and the reference page are all derived from them, by `tenantry.config.table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from tenantry.config.addresses import ADDRESS, DATABASE_URL, STATE_URL, TOKEN, URL_EXAMPLE, WEBHOOK_URL
from tenantry.config.kinds import (
    FIELD,
    LIMITS,
    NAMES,
    PARAMETERS,
    PATH,
    SIZE,
    SOME_NAMES,
    STATES,
    TEXT,
    TIMEOUT,
    WAIT,
    Kind,
    choice,
    duration,
    number,
)
from tenantry.config.quantities import S
from tenantry.core.defaults import Layer
from tenantry.core.fields import FieldShape
from tenantry.core.guard import RemovalLimit
from tenantry.core.secret import Secret


@dataclass(frozen=True, slots=True)
class Told:
    """What is said about a setting beside its type and default.

    `unset` is how the default None is shown. A setting with an `env` of its own is neither in the file nor a flag.
    """

    kind: Kind
    help: str
    example: str = ""
    unset: str = "not set"
    env: str = ""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Where tenants come from."""

    url: Annotated[
        Secret | None,
        Told(
            DATABASE_URL,
            "The database. For PostgreSQL, what libpq takes, such as several hosts or TLS options, passes through. "
            "MySQL and MariaDB need `tenantry[mysql]`, and take ssl_mode, ssl_ca, ssl_cert, ssl_key and unix_socket. "
            "With a password it is given by file or environment, not as a flag. Without it, the tutorial's DB_* "
            "variables are used.",
            URL_EXAMPLE,
        ),
    ] = None
    table: Annotated[str, Told(TEXT, "The table or view of tenants, one row each.", "organization")] = "organization"
    query: Annotated[
        str | None,
        Told(
            TEXT,
            "One SELECT that gives the tenants, in the place of source.table: for a join, or for columns that want "
            "another name or type. It is read as a whole, in a read-only transaction.",
            "SELECT t.slug AS tenant, p.name AS plan FROM tenants t JOIN plans p ON p.id = t.plan_id",
        ),
    ] = None
    id: Annotated[str, Told(TEXT, "The column that identifies a tenant, for ever.", "tenant")] = "tenant"
    state: Annotated[str | None, Told(TEXT, "The column that holds the lifecycle state.", "status")] = None
    parameters: Annotated[
        tuple[str, ...] | None,
        Told(PARAMETERS, "The columns that templates may see.", "tenant, status, plan", unset="every column"),
    ] = None
    serve: Annotated[
        tuple[str, ...] | None,
        Told(STATES, "The states that are deployed; needs source.state.", "active, trial", unset="every state"),
    ] = None
    retire: Annotated[
        tuple[str, ...],
        Told(
            NAMES,
            "With source.serve, the states that are not deployed; `*` for every one that source.serve does not list. A "
            "row whose state is in neither list is quarantined.",
            "inactive, de-provisioned",
        ),
    ] = ()
    statement_timeout: Annotated[timedelta, Told(TIMEOUT, "How long the database may work on a statement.")] = 10 * S
    lock_timeout: Annotated[timedelta, Told(TIMEOUT, "How long a statement may wait for a lock.")] = 2 * S
    connect_timeout: Annotated[timedelta, Told(WAIT, "How long connecting may take.")] = 5 * S
    read_timeout: Annotated[timedelta, Told(TIMEOUT, "How long a whole read may take, connecting included.")] = 30 * S
    feed: Annotated[
        str,
        Told(
            choice("auto", "off"),
            "`auto` hears of changes as the database allows, by one more connection; with `off` tenants are read by "
            "the timer alone.",
        ),
    ] = "auto"
    feed_url: Annotated[
        Secret | None,
        Told(
            DATABASE_URL,
            "Of PostgreSQL, a connection to the same database past a pooler, which gives no notifications: changes are "
            "heard there.",
            URL_EXAMPLE,
            unset="source.url",
        ),
    ] = None
    channel: Annotated[
        str,
        Told(TEXT, "Of PostgreSQL, the channel on which the trigger of `tenantry manifests trigger` tells of changes."),
    ] = "tenantry"
    max_text: Annotated[
        int, Told(number("64", "16777216"), "Characters that one value may have; a longer one quarantines its row.")
    ] = 32768


@dataclass(frozen=True, slots=True)
class NamingSettings:
    """How the names are made that a tenant's Application can have as they are."""

    name: Annotated[
        str, Told(FIELD, "The field that holds a DNS-1123 label made from the id; `off` for none.", "tenantName")
    ] = "tenantName"
    label: Annotated[
        str, Told(FIELD, "The field that holds a valid label value made from the id; `off` for none.", "tenantLabel")
    ] = "tenantLabel"
    length: Annotated[
        int,
        Told(
            number("20", "63"),
            "Characters that a name may have. Another length renames tenants whose id is longer, and a rename deletes "
            "their Applications.",
        ),
    ] = 40
    hash: Annotated[
        str,
        Told(
            choice("needed", "always"),
            "Which names end in a hash of the id: those that cannot be the id itself, or all. The other choice renames "
            "tenants, and a rename deletes their Applications.",
        ),
    ] = "needed"


@dataclass(frozen=True, slots=True)
class SnapshotSettings:
    """How fresh the tenants in memory are."""

    refresh: Annotated[
        timedelta,
        Told(
            duration("50ms", "1h"),
            "How often the tenants are read by themselves, beside at each change that is heard of. Where it is proven "
            "that nothing has changed, once a minute.",
        ),
    ] = 2 * S
    max_stale: Annotated[
        timedelta,
        Told(duration("1s", "365d"), "How old the last good read may be before requests are refused with 503."),
    ] = 3600 * S


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How HTTP is served."""

    address: Annotated[str, Told(ADDRESS, "Where to listen.", "[::]:4355")] = "0.0.0.0:4355"
    ops_address: Annotated[
        str | None,
        Told(ADDRESS, "Where /healthz, /readyz and /metrics are instead.", "0.0.0.0:9090", unset="server.address"),
    ] = None
    max_body: Annotated[int, Told(SIZE, "The largest request body.", "512KiB")] = 1 << 20
    header_timeout: Annotated[timedelta, Told(WAIT, "How long the headers of a request may take to arrive.")] = 10 * S
    body_timeout: Annotated[timedelta, Told(WAIT, "How long the body of a request may take to arrive.")] = 10 * S
    keep_alive: Annotated[
        timedelta, Told(duration("91s", "1d"), "How long to keep an idle connection: Argo CD re-uses one for 90s.")
    ] = 120 * S
    write_timeout: Annotated[timedelta, Told(WAIT, "How long a client may leave an answer unread.")] = 60 * S
    drain: Annotated[
        timedelta, Told(duration("0s", "10m"), "How long after SIGTERM to be not ready but still answering.")
    ] = 2 * S
    shutdown_timeout: Annotated[timedelta, Told(WAIT, "How long requests in flight may take after that.")] = 10 * S


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Which bearer tokens are valid; all sources together."""

    directory: Annotated[
        Path | None,
        Told(
            PATH,
            "A directory with one token a file, such as a mounted Secret; re-read on change. A file's name, without "
            "a trailing .<n>, is its consumer.",
            "/var/run/secrets/tenantry",
        ),
    ] = None
    file: Annotated[
        Path | None, Told(PATH, "A file with one token, of the consumer `default`; re-read on change.", "/run/token")
    ] = None
    value: Annotated[
        Secret | None, Told(TOKEN, "One token, of the consumer `default`; by environment only.", env="AUTH_TOKEN")
    ] = None
    recheck: Annotated[timedelta, Told(WAIT, "How often token files are read again, beside on change.")] = 30 * S


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Where tenantry keeps what is its own."""

    directory: Annotated[
        Path,
        Told(
            PATH,
            "A directory that only the service's user can look into, made if it is not there, and that has to survive "
            "it. The state is in it, if that is a file, and the socket of the admin API.",
            "/var/lib/tenantry",
        ),
    ] = Path("tenantry-data")


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """What is done about removals, which Argo CD turns into deletions."""

    mode: Annotated[
        str,
        Told(
            choice("observe", "hold", "upsert-only", "off"),
            "`hold` keeps tenants whose removal goes beyond the limits, or is not by rows alone, until somebody "
            "approves it; `observe` only tells of it; `upsert-only` holds every removal; `off` remembers nothing.",
        ),
    ] = "hold"
    settle: Annotated[
        timedelta,
        Told(duration("0s", "1d"), "How long every read, two at least, must be without a tenant before it may leave."),
    ] = 60 * S
    limits: Annotated[
        tuple[RemovalLimit, ...],
        Told(
            LIMITS,
            "How many tenants may leave within sliding windows, of each ApplicationSet and of all together: so many "
            "percent of those that there were when the window began, rounded down, or `min` if that is more. As text "
            "`window:max_percent:min`.",
            "1h:5:2",
        ),
    ] = (
        RemovalLimit(3600 * S, 5, 2),
        RemovalLimit(24 * 3600 * S, 10, 3),
        RemovalLimit(7 * 24 * 3600 * S, 25, 5),
    )
    identity: Annotated[
        tuple[str, ...] | None,
        Told(
            NAMES,
            "The fields whose change gives a tenant another Application, as those in its name do: a change counts as a "
            "removal. Without a name of its own, none.",
            "tenantName, region",
            unset="the field of naming.name",
        ),
    ] = None
    history: Annotated[
        timedelta, Told(duration("1d", "3650d"), "How long it is remembered who was answered what, and when.")
    ] = 365 * 24 * 3600 * S


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Where it is remembered what ApplicationSets were answered."""

    url: Annotated[
        Secret | None,
        Told(
            STATE_URL,
            "The state database: a SQLite file for one process, on a volume that survives it, or PostgreSQL. There "
            "the tables are in a schema of their own, `tenantry`.",
            "postgresql://tenantry@db/tenantry",
            unset="tenantry-state.db in data.directory",
        ),
    ] = None
    timeout: Annotated[timedelta, Told(WAIT, "How long a statement there may take, and connecting to it.")] = 5 * S


@dataclass(frozen=True, slots=True)
class KubernetesSettings:
    """How Argo CD is told of changes, so that it asks at once."""

    nudge: Annotated[
        str,
        Told(
            choice("auto", "on", "off"),
            "With `auto` ApplicationSets are told of changes where there is access to their cluster: in a pod with a "
            "ServiceAccount, or by kubernetes.kubeconfig. `on` wants it: without access nothing starts. With `off` "
            "Argo CD polls.",
        ),
    ] = "auto"
    kubeconfig: Annotated[
        Path | None,
        Told(
            PATH,
            "A kubeconfig, whose current context is the cluster of Argo CD. No other is ever looked for.",
            "/run/argocd.kubeconfig",
            unset="the pod's ServiceAccount",
        ),
    ] = None
    namespaces: Annotated[
        tuple[str, ...], Told(SOME_NAMES, "Where the ApplicationSets are; `*` for every namespace.", "argocd")
    ] = ("argocd",)
    plugin_configmaps: Annotated[
        tuple[str, ...] | None,
        Told(
            SOME_NAMES,
            "The ConfigMaps by which ApplicationSets use this plugin.",
            "tenant-generator-plugin",
            unset="any, of ApplicationSets that asked",
        ),
    ] = None
    consumers: Annotated[
        tuple[str, ...] | None,
        Told(
            SOME_NAMES,
            "Whose ApplicationSets those are: the consumers, by the names of their tokens, of the Argo CD of that "
            "cluster. The guard looks at the specs of theirs alone.",
            "default",
            unset="the consumer that there is, where there is only one",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """Who is told that removals are held."""

    url: Annotated[
        Secret | None,
        Told(
            WEBHOOK_URL,
            "Where a POST goes when a hold begins or ends. One with a user or password is no flag; give any that is "
            "secret by file or environment, for flags stand in the list of processes.",
            "https://hooks.example.com/tenantry",
        ),
    ] = None
    secret: Annotated[
        Secret | None,
        Told(TOKEN, "The secret that signs each of them; by environment only.", env="TENANTRY_NOTIFY_SECRET"),
    ] = None
    secret_file: Annotated[
        Path | None, Told(PATH, "A file with that secret, read for each of them.", "/run/notify-secret")
    ] = None
    timeout: Annotated[timedelta, Told(WAIT, "How long one try may take.")] = 10 * S


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """Who may look into the running service. Its own user can, by the socket; over TCP nobody can without a token."""

    token: Annotated[
        Secret | None,
        Told(
            TOKEN,
            "A token for the admin API over TCP, never one that Argo CD sends; by environment only.",
            env="TENANTRY_ADMIN_TOKEN",
        ),
    ] = None
    token_file: Annotated[
        Path | None, Told(PATH, "A file with such a token; re-read on change, as token files are.", "/run/admin-token")
    ] = None
    socket: Annotated[
        Path | None,
        Told(
            PATH,
            "The Unix socket of the admin API, where its path in data.directory would be too long.",
            "/run/tenantry.sock",
            unset="admin.sock in data.directory",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and how."""

    format: Annotated[
        str, Told(choice("auto", "json", "console"), "`auto` is readable on a terminal and JSON elsewhere.")
    ] = "auto"
    level: Annotated[str, Told(choice("debug", "info", "warning", "error"), "The least severe line written.")] = "info"


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """What is measured."""

    max_sets: Annotated[
        int, Told(number("0", "100000"), "How many ApplicationSets have metrics of their own by name.")
    ] = 200


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be configured."""

    source: SourceSettings = field(default_factory=SourceSettings)
    naming: NamingSettings = field(default_factory=NamingSettings)
    snapshot: SnapshotSettings = field(default_factory=SnapshotSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    tokens: TokenSettings = field(default_factory=TokenSettings)
    data: DataSettings = field(default_factory=DataSettings)
    guard: GuardSettings = field(default_factory=GuardSettings)
    state: StateSettings = field(default_factory=StateSettings)
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)
    admin: AdminSettings = field(default_factory=AdminSettings)
    log: LogSettings = field(default_factory=LogSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    fields: tuple[FieldShape, ...] = ()
    defaults: tuple[Layer, ...] = ()
    views: tuple[tuple[str, Mapping[str, object]], ...] = ()

    @property
    def state_url(self) -> Secret:
        """The URL of the state database."""
        file = quote(str((self.data.directory / "tenantry-state.db").absolute()))
        return self.state.url or Secret(f"sqlite:///{file}")

    @property
    def admin_socket(self) -> Path:
        """Where the Unix socket of the admin API is."""
        return self.admin.socket or self.data.directory / "admin.sock"
