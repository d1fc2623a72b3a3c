"""The tutorial on the bed: its table, its manifests, and tenantry in the place of its service."""

from __future__ import annotations

from typing import Protocol

from tests.e2e.argocd import ArgoCD, Object, load
from tests.support.postgres import SAMPLE, Database

FOLDER = SAMPLE.parent
NAME = "tenant-generator-plugin-demo"


class Listening(Protocol):
    """A service, or what stands before it."""

    port: int


def application_set(variant: str = "") -> Object:
    """Return the tutorial's ApplicationSet, or its `-selector` or `-input` variant."""
    [found] = load(FOLDER / f"applicationset{variant}.yaml")
    return found


def token() -> str:
    """Return the token in the tutorial's Secret."""
    found: str = load(FOLDER / "secrets.yaml")[0]["stringData"]["plugin.auth.token"]
    return found


def environment(database: Database) -> dict[str, str]:
    """Return the variables of tenantry."""
    return {**database.tutorial_environment(), "AUTH_TOKEN": token()}


def plugin(service: Listening) -> Object:
    """Return the tutorial's ConfigMap. Nothing in it differs but the address of the service."""
    [found] = load(FOLDER / "configmap.yaml")
    found["data"]["baseUrl"] = f"http://127.0.0.1:{service.port}"
    return found


def secret(token: str) -> Object:
    """Return the tutorial's Secret with another token."""
    found = load(FOLDER / "secrets.yaml")[0]
    found["stringData"]["plugin.auth.token"] = token
    return found


def connect(argocd: ArgoCD, service: Listening) -> None:
    """Apply the tutorial's ConfigMap and Secrets."""
    argocd.apply(plugin(service), *load(FOLDER / "secrets.yaml"))


def poll_often(argocd: ArgoCD, service: Listening, seconds: int = 2, variant: str = "") -> None:
    """Let the tutorial's ApplicationSet, or a variant of it, ask this service all the time."""
    connect(argocd, service)
    often = application_set(variant)
    often["spec"]["generators"][0]["plugin"]["requeueAfterSeconds"] = seconds
    argocd.apply(often)
