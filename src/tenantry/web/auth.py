"""Who asks: the bearer token of a request, checked before anything else of it is read."""

from __future__ import annotations

from tenantry.core.errors import MissingToken, UnknownToken, UnresolvedToken
from tenantry.service.ports import Tokens
from tenantry.web.asgi import Scope, header


def consumer_of(scope: Scope, tokens: Tokens) -> str:
    """Return whose token a request has; raises Unauthenticated, and says why without a word of the token."""
    given = header(scope, b"authorization")
    if len(given) != 1:
        raise MissingToken
    scheme, _, presented = given[0].decode("latin-1").strip(" \t").partition(" ")
    presented = presented.strip(" \t")
    if scheme.lower() != "bearer" or not presented:
        raise MissingToken
    consumer = tokens.consumer_of(presented)
    if consumer is not None:
        return consumer
    # Argo CD sends the reference itself when the Secret lacks the key (`util/settings/settings.go`).
    raise UnresolvedToken if presented.startswith("$") else UnknownToken
