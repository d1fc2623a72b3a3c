"""What may never happen to Applications: to be deleted, made anew, or left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tests.e2e.argocd import ArgoCD

Uids: TypeAlias = dict[str, str]


def uids(argocd: ArgoCD) -> Uids:
    """Return the uids of the Applications that are not being deleted, by name."""
    found = argocd.applications()
    return {
        name: each["metadata"]["uid"] for name, each in found.items() if "deletionTimestamp" not in each["metadata"]
    }


def lost(argocd: ArgoCD, before: Uids) -> list[str]:
    """Return the names of those that are deleted, or others by now, although they were there before."""
    now = uids(argocd)
    return [name for name, uid in before.items() if now.get(name) != uid]


def versions(argocd: ArgoCD) -> dict[str, str]:
    """Return the resourceVersions of all Applications, by name: any write at all moves them."""
    return {name: each["metadata"]["resourceVersion"] for name, each in argocd.applications().items()}


def passes(argocd: ArgoCD) -> int:
    """Return how many passes over an ApplicationSet the controller has brought to their end."""
    return argocd.log.read_text().count("requeueAfter=")


def some_passes(argocd: ArgoCD, number: int, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Wait for so many further passes."""
    until = passes(argocd) + number

    def reached() -> bool:
        meanwhile()
        return passes(argocd) >= until

    argocd.eventually(reached, within=30 + 10 * number, what="Some passes")


def settled(argocd: ArgoCD, applications: int) -> Uids:
    """Wait until there are that many Applications, and return their uids."""
    argocd.eventually(lambda: len(uids(argocd)) == applications, what=f"{applications} Applications")
    return uids(argocd)
