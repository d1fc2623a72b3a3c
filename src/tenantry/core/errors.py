"""The tree of errors: each says what happened, to which thing, and what to do about it.

The docstring of a class is its default sentence and `remedy` is what to do; the error reference in the docs
is generated from both. Messages reach the conditions of an ApplicationSet, so they are one line, stable from
call to call, at most `LONGEST_MESSAGE` characters, and hold neither SQL nor tenants' data.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from typing import ClassVar

LONGEST_MESSAGE = 1000
"""Characters: Argo CD copies a message into four conditions, none of which it truncates."""

_LONGEST_NAME = 80
_MOST_NAMES = 24


class TenantryError(Exception):
    """Something went wrong."""

    remedy: ClassVar[str] = "See the log of tenantry."

    def __init__(self, what: str = "", *, remedy: str = "") -> None:
        """Say `what` happened and the `remedy`, where the sentences of the class are too general."""
        self.what = what or first_line(type(self).__doc__ or "")
        self.advice = remedy or type(self).remedy
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The whole text for a person: what happened, then what to do."""
        return shortened(" ".join(f"{self.what} {self.advice}".split()), LONGEST_MESSAGE)


def first_line(text: str) -> str:
    """Return the first line of a docstring."""
    return text.strip().partition("\n")[0].strip()


def shortened(text: str, longest: int) -> str:
    """Cut `text` to `longest` characters, with an ellipsis where something is missing."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def quoted(name: str) -> str:
    """Quote a name that came from outside, without line breaks and at a bounded length."""
    printable = "".join(character if character.isprintable() else "?" for character in name)
    return f"'{shortened(printable, _LONGEST_NAME)}'"


def counted(tenants: Collection[object]) -> str:
    """Say how many tenants, and nothing of who they are."""
    return f"{len(tenants)} tenant{'' if len(tenants) == 1 else 's'}"


def listed(names: Iterable[str]) -> str:
    """List names in order, at a bounded length."""
    ordered = sorted(names)
    shown = ", ".join(shortened(name, _LONGEST_NAME) for name in ordered[:_MOST_NAMES])
    more = len(ordered) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown or "(none)"


def nearest(name: str, known: Iterable[str]) -> str:
    """Ask whether the known name closest to `name` was meant; empty when none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


# --- wrong use and configuration -------------------------------------------------------------------------------


class ConfigurationError(TenantryError):
    """The configuration cannot be used."""

    remedy = "Correct what is listed; `tenantry check` reads it again."

    def __init__(self, problems: Iterable[str]) -> None:
        """Carry every problem found, one sentence each."""
        self.problems = tuple(problems)
        super().__init__(" ".join(self.problems))

    @property
    def message(self) -> str:
        """One problem a line: a configuration is corrected in one go."""
        return "\n".join(self.problems)


# --- a request that is refused ---------------------------------------------------------------------------------


class RequestRefused(TenantryError):
    """The request is not understood."""

    remedy = "See 'The request' in the reference for what an ApplicationSet may ask."


class InvalidBody(RequestRefused):
    """The body is not a plugin request."""

    remedy = 'Send {"applicationSetName": "…", "input": {"parameters": {…}}}.'


class BodyTooLarge(RequestRefused):
    """The body is larger than `server.max_body`."""

    remedy = "Ask for fewer values per field, or raise server.max_body."


class UnknownParameter(RequestRefused):
    """An input parameter is not known."""


class InvalidParameter(RequestRefused):
    """The value of an input parameter cannot be compared with a field."""

    remedy = "Give a text, a number, a boolean or a list of them."


class InvalidSelector(InvalidParameter):
    """The selector cannot be read."""

    remedy = "Write it as Kubernetes does, such as `tier in (gold,silver),!legacy`, or with matchExpressions."


class HeadersTooLarge(RequestRefused):
    """The headers of the request are larger than 64 KiB."""

    remedy = "Check what stands between Argo CD and tenantry."


class RequestTooSlow(RequestRefused):
    """The request did not arrive in time."""

    remedy = "Check the network between Argo CD and tenantry."


class InvalidQuery(RequestRefused):
    """A query parameter of the admin API is not understood."""

    remedy = "See /docs for what each path of the admin API takes."


class EditedInput(TenantryError):
    """An ApplicationSet asks for something new, and without what it asked for before it would lose tenants."""

    remedy = (
        "If that is meant, approve it: `tenantry guard approve APPLICATIONSET --input` with that name. If the input "
        "was edited by mistake, put it back."
    )


class UnknownApplications(TenantryError):
    """An ApplicationSet owns Applications that are no tenant's: what it was answered is forgotten, or never known."""

    remedy = (
        "Give tenantry its state back, or the database that the tenants are in. If they may be deleted, approve that: "
        "`tenantry guard approve APPLICATIONSET --input` with that name; `tenantry guard history APPLICATIONSET` lists "
        "them."
    )


class LostField(TenantryError):
    """Argo CD selects or names Applications by a field that the tenants had, and have no more."""

    remedy = (
        "Give it back as a column, and in source.parameters. If it is to go, edit the selector or the name in the "
        "ApplicationSet first."
    )


class NoSuchApplicationSet(RequestRefused):
    """The guard knows of no ApplicationSet by this name."""

    remedy = "`tenantry guard show` lists those that it knows."


class NotKnownThere(RequestRefused):
    """A tenant is neither in an answer of this ApplicationSet nor waiting for one."""

    remedy = "Nothing was changed. `tenantry guard show` lists whom it has."


class GuardIsOff(RequestRefused):
    """There is no guard: `guard.mode` is off."""

    remedy = "Give another guard.mode, and start again."


class InvalidWord(RequestRefused):
    """What was said to the guard is not understood."""

    remedy = "See `tenantry guard --help`. Nothing was changed."


class AnotherHold(RequestRefused):
    """What is held is not what was looked at."""

    remedy = "Look at it again: `tenantry guard show`. Nothing was changed."


class NoSuchTenant(RequestRefused):
    """There is no tenant with this id."""

    remedy = "`tenantry tenants list` lists the tenants that there are."


class NoSuchPath(RequestRefused):
    """There is nothing at this path."""

    remedy = "The plugin answers at /api/v1/getparams.execute: check `baseUrl` in the plugin's ConfigMap."


class MethodNotAllowed(RequestRefused):
    """The plugin's path takes POST only."""

    remedy = "A redirect in front of tenantry turns POST into GET: give the final address as `baseUrl`."


class UpgradeWithBody(RequestRefused):
    """The request has a body and asks for another protocol (header Upgrade), which tenantry does not speak."""

    remedy = "Send it as plain HTTP/1.1, without that header (curl: --http1.1)."


class MalformedHttp(RequestRefused):
    """The bytes received are not a valid HTTP request."""

    remedy = "Check what stands between Argo CD and tenantry."


# --- a caller that may not ask ---------------------------------------------------------------------------------


class Unauthenticated(TenantryError):
    """The request has no valid token."""

    remedy = "Check the Secret that the plugin's ConfigMap names, and the tokens that tenantry was given."


class MissingToken(Unauthenticated):
    """The request has no bearer token."""

    remedy = "Argo CD sends none when the value in its Secret is empty: set `token` in the plugin's ConfigMap."


class UnresolvedToken(Unauthenticated):
    """The token is a literal `$…`, which is an unresolved Secret reference."""

    remedy = "Argo CD did not find that key: check the Secret's name and key behind `token` in the plugin's ConfigMap."


class UnknownToken(Unauthenticated):
    """The token is not one of tenantry's."""


class MissingAdminToken(Unauthenticated):
    """The request has no bearer token, which the admin API needs over TCP."""

    remedy = "Send TENANTRY_ADMIN_TOKEN's value as `Authorization: Bearer …`, or use the socket in data.directory."


class UnknownAdminToken(Unauthenticated):
    """The token is not the admin token."""

    remedy = "Compare it with TENANTRY_ADMIN_TOKEN and admin.token_file of the service."


class Forbidden(TenantryError):
    """The token is valid, but not here."""


class AdminTokenAtPlugin(Forbidden):
    """The token is the admin token, which the plugin's path does not take."""

    remedy = "Put one of tenantry's plugin tokens into the Secret that the plugin's ConfigMap names."


class PluginTokenAtAdmin(Forbidden):
    """The token is a plugin token, which the admin API does not take."""

    remedy = "Use the admin token, or the socket in data.directory; the two kinds of token have to differ."


# --- not now ---------------------------------------------------------------------------------------------------


class NotReady(TenantryError):
    """There is no snapshot of the tenants that could be answered from."""

    remedy = "Nothing is deleted meanwhile; `tenantry check` finds the reason."


class NoSnapshot(NotReady):
    """The tenants have not been read yet."""


class NotListed(NotReady):
    """The Applications in the cluster could not be listed yet, and nothing is known of this ApplicationSet."""

    remedy = "See whether the Kubernetes API server answers: `tenantry status`. Nothing is deleted meanwhile."


class SnapshotTooOld(NotReady):
    """The last good read of the tenants is older than `snapshot.max_stale`."""


class LastGoodUnknown(NotReady):
    """A row cannot be used, and this process never saw its tenant's last good parameters."""

    remedy = "Correct the row; `tenantry check` names it. Nothing is deleted meanwhile."


class ReadFailed(NotReady):
    """The tenants could not be read now."""

    remedy = "Answers are of the read before."


class StateError(NotReady):
    """The state database cannot be used, and without it nobody knows whom an answer would remove."""

    remedy = "Nothing is deleted meanwhile; the log of tenantry has the reason."


class StateUnreachable(StateError):
    """The state database cannot be reached."""


class StateUnwritable(StateError):
    """The state database cannot be written to: it is read-only, or its disk is full."""


class StateMissing(StateError):
    """There is no state of tenantry."""

    remedy = "Nothing was made. Give the URL of the state database that the service uses."


class StateDamaged(StateError):
    """The state database is damaged, or is none of tenantry."""

    remedy = "Restore it, or move it away: then removals that the guard does not know of are not noticed."


class StateTooNew(StateError):
    """The state database was written by a later version of tenantry."""

    remedy = "Run that version, or a later one."


class StateInUse(StateError):
    """Another process uses the state database."""

    remedy = "End the other one; or let both have one in PostgreSQL, as state.url."


class StateMoved(StateError):
    """Somebody else wrote to the state database in this moment."""

    remedy = "Ask again in a moment."


class ReplicaBehind(NotReady):
    """Another replica answered from a later state of the tenants' database than this one has read."""

    remedy = (
        "Ask again in a moment. If it stays so, look at the lag of the database that this replica reads from "
        "(source.url): `tenantry status` says which replica is behind."
    )


class OlderConfiguration(NotReady):
    """Another replica, which is still there, answers by a newer configuration of the tenants than this one has."""

    remedy = (
        "During a rollout that ends by itself; on the way back, once the others have ended. Else give all replicas one "
        "configuration: `tenantry status` lists them."
    )


class ShuttingDown(NotReady):
    """tenantry is shutting down."""

    remedy = "Ask again in a moment."


# --- the cluster ------------------------------------------------------------------------------------------------


class ClusterError(TenantryError):
    """The Kubernetes API server cannot be used."""

    remedy = "It is tried again by itself; until then changes reach Argo CD with its next poll."


class ClusterDenied(ClusterError):
    """The Kubernetes API server does not let tenantry see or refresh ApplicationSets."""

    remedy = (
        "Apply what `tenantry manifests rbac` prints, for the namespaces of kubernetes.namespaces; until then changes "
        "reach Argo CD with its next poll."
    )


# --- a read that failed ----------------------------------------------------------------------------------------


class SourceError(TenantryError):
    """The tenants could not be read."""

    remedy = "The last good snapshot stays in use; `tenantry check` tries the read and explains."


class SourceUnreachable(SourceError):
    """The database is not reachable."""

    remedy = "Check that it runs, and the host, port and TLS settings of source.url."


class SourceLoginFailed(SourceError):
    """The database refused the login."""

    remedy = "Check the user and the password of source.url (DB_USER, DB_PASSWORD)."


class SourceDenied(SourceError):
    """The database role may not read the tenants."""

    remedy = "Grant it SELECT on the table, and BYPASSRLS or a policy-free view if row-level security is on."


class SourceTooSlow(SourceError):
    """The read took longer than it may."""

    remedy = (
        "Look for locks on the table, or raise source.statement_timeout, source.lock_timeout or source.read_timeout."
    )


class MissingTable(SourceError):
    """The table of tenants does not exist."""

    remedy = "Check source.table and the search path of the database role."


class MissingColumn(SourceError):
    """A configured column does not exist."""

    remedy = "Check source.id, source.state and source.parameters against the table."


class BrokenView(SourceError):
    """A view of the configuration asks for something that there is not."""

    remedy = "Correct it under `views` in the configuration file."


class RefusedColumn(SourceError):
    """A column cannot be served under its name or with its type."""

    remedy = "Name the columns to serve in source.parameters."


class TooManyLeaves(SourceError):
    """The JSON columns have more leaves than that many tenants may have."""

    remedy = (
        "Keep in the JSON only what templates need: name the columns to serve in source.parameters, or serve a view "
        "that picks the keys."
    )


class LastGoodIncomplete(SourceError):
    """The last good parameters that have to stay lack a column that is new or has another type since."""

    remedy = "Correct the row. Until then the last good snapshot stays in use, and `tenantry check` names the row."


class SourceWentBack(SourceError):
    """The database is at an earlier position than the snapshot in use, or is another one."""

    remedy = (
        "A standby that lags catches up by itself. If a backup was restored or the database was replaced on purpose, "
        "compare with `tenantry query`, then restart tenantry."
    )


# --- an answer that may not leave ------------------------------------------------------------------------------


class InvalidAnswer(TenantryError):
    """The answer failed its own check and was not sent."""

    remedy = "This is a fault of tenantry: please report it. Nothing is deleted meanwhile."


class InternalError(TenantryError):
    """tenantry failed to answer."""

    remedy = "The log has the reason. Nothing is deleted meanwhile."
