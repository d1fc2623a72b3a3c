"""The one table from errors to statuses, and the one shape of every body that is not an answer.

Argo CD shows the top-level text `message` of a non-2xx and nothing else of it (`services/internal/http/client.go`).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tenantry.core import errors
from tenantry.web.asgi import Message, response

JSON = b"application/json"

STATUSES: dict[type[errors.TenantryError], int] = {
    errors.InvalidBody: 400,
    errors.UnknownParameter: 400,
    errors.InvalidParameter: 400,
    errors.InvalidSelector: 400,
    errors.MalformedHttp: 400,
    errors.UpgradeWithBody: 400,
    errors.InvalidQuery: 400,
    errors.InvalidWord: 400,
    errors.MissingToken: 401,
    errors.UnresolvedToken: 401,
    errors.UnknownToken: 401,
    errors.MissingAdminToken: 401,
    errors.UnknownAdminToken: 401,
    errors.AdminTokenAtPlugin: 403,
    errors.PluginTokenAtAdmin: 403,
    errors.NoSuchPath: 404,
    errors.NoSuchTenant: 404,
    errors.GuardIsOff: 404,
    errors.NoSuchApplicationSet: 404,
    errors.NotKnownThere: 404,
    errors.MethodNotAllowed: 405,
    errors.RequestTooSlow: 408,
    errors.EditedInput: 409,
    errors.UnknownApplications: 409,
    errors.LostField: 409,
    errors.AnotherHold: 409,
    errors.BodyTooLarge: 413,
    errors.HeadersTooLarge: 431,
    errors.InvalidAnswer: 500,
    errors.InternalError: 500,
    errors.NoSnapshot: 503,
    errors.NotListed: 503,
    errors.ReadFailed: 503,
    errors.SnapshotTooOld: 503,
    errors.LastGoodUnknown: 503,
    errors.StateUnreachable: 503,
    errors.StateUnwritable: 503,
    errors.StateDamaged: 503,
    errors.StateTooNew: 503,
    errors.StateInUse: 503,
    errors.StateMoved: 503,
    errors.ReplicaBehind: 503,
    errors.OlderConfiguration: 503,
    errors.ShuttingDown: 503,
}
"""Every error that leaves over HTTP; what is not listed leaves as InternalError."""

_EXTRA: dict[int, tuple[tuple[bytes, bytes], ...]] = {
    401: ((b"www-authenticate", b"Bearer"),),
    405: ((b"allow", b"POST"),),
    # The rest of the request is unread: the connection cannot serve another one.
    408: ((b"connection", b"close"),),
    413: ((b"connection", b"close"),),
}


def status_of(error: errors.TenantryError) -> int:
    """Return the status under which an error leaves."""
    return STATUSES.get(type(error), 500)


def error_body(error: errors.TenantryError) -> bytes:
    """Return `{"message": …}`."""
    told = error if type(error) in STATUSES else errors.InternalError()
    return msgspec.json.encode({"message": told.message})


def error_response(error: errors.TenantryError, extra: Sequence[tuple[bytes, bytes]] = ()) -> list[Message]:
    """Return the response for an error."""
    status = status_of(error)
    return response(status, error_body(error), JSON, (*_EXTRA.get(status, ()), *extra))
