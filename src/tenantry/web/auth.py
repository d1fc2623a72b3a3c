"""Who asks: the bearer token of a request, checked before anything else of it is read."""

from __future__ import annotations

from tenantry.core.errors import (
    AdminTokenAtPlugin,
    MissingAdminToken,
    MissingToken,
    NoSuchPath,
    PluginTokenAtAdmin,
    Unauthenticated,
    UnknownAdminToken,
    UnknownToken,
    UnresolvedToken,
)
from tenantry.service.ports import Tokens
from tenantry.web.asgi import Scope, header


def consumer_of(scope: Scope, tokens: Tokens, admin_tokens: Tokens | None = None) -> str:
    """Return whose token a request of the plugin has, and say why without a word of the token where it has none.

    Raises Unauthenticated, or AdminTokenAtPlugin for one of `admin_tokens`.
    """
    presented = _presented(scope, MissingToken)
    consumer = tokens.consumer_of(presented)
    if consumer is not None:
        return consumer
    if admin_tokens is not None and admin_tokens.consumer_of(presented) is not None:
        raise AdminTokenAtPlugin
    # Argo CD sends the reference itself when the Secret lacks the key (`util/settings/settings.go`).
    raise UnresolvedToken if presented.startswith("$") else UnknownToken


def refuse_all_but_admins(scope: Scope, admin_tokens: Tokens, tokens: Tokens) -> None:
    """Return for an admin token alone, of which none is one of the plugin's `tokens`.

    Raises NoSuchPath while there is no admin token, Unauthenticated, or PluginTokenAtAdmin: a token that is both opens
    nothing here, since Argo CD's Secrets are seen by many.
    """
    if not admin_tokens.count:
        raise NoSuchPath
    presented = _presented(scope, MissingAdminToken)
    if tokens.consumer_of(presented) is not None:
        raise PluginTokenAtAdmin
    if admin_tokens.consumer_of(presented) is None:
        raise UnknownAdminToken


def _presented(scope: Scope, missing: type[Unauthenticated]) -> str:
    given = header(scope, b"authorization")
    if len(given) != 1:
        raise missing
    scheme, _, presented = given[0].decode("latin-1").strip(" \t").partition(" ")
    presented = presented.strip(" \t")
    if scheme.lower() != "bearer" or not presented:
        raise missing
    return presented
