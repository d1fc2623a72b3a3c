"""Fixtures of the scenarios: one cluster for a run, and in it an Argo CD of its own for each test."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.argocd import ArgoCD, NotSoon
from tests.e2e.bed import Bed
from tests.e2e.build import NotBuilt, built
from tests.e2e.pair import pair
from tests.e2e.preview import preview
from tests.e2e.rights import rights
from tests.faults.fixtures import bed, victim
from tests.support.service import RIVAL, TENANTRY

SHARED = pytest.StashKey[Bed]()
PLUGINS = {"tenantry": TENANTRY, "rival": RIVAL}

__all__ = ["bed", "pair", "preview", "rights", "victim"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what can be asked of the scenarios of faults."""
    parser.addoption("--plugin", choices=sorted(PLUGINS), default="tenantry", help="Who answers in the faults.")
    parser.addoption("--whole", action="store_true", help="Let each fault last for a minute of polls.")


@pytest.fixture
def plugin(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Return the command of the plugin under test."""
    return PLUGINS[request.config.getoption("plugin")]


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> bool:
    """Tell whether a fault lasts as long as on a bad day, or only for a few polls."""
    return bool(request.config.getoption("whole"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 -- pytest-xdist has no types
    """Start the cluster in the process that outlives the workers of pytest-xdist, and tell them where it is."""
    config: pytest.Config = node.config
    if SHARED not in config.stash:
        try:
            bed = Bed()
        except NotBuilt as error:
            raise pytest.UsageError(str(error)) from None
        config.add_cleanup(bed.stop)
        bed.start()
        config.stash[SHARED] = bed
    node.workerinput["kubeconfig"] = str(config.stash[SHARED].kubeconfig)


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return an administrator's kubeconfig for the cluster of this run."""
    shared = getattr(request.config, "workerinput", {}).get("kubeconfig")
    if shared:
        yield Path(shared)
        return
    with Bed() as bed:
        yield bed.kubeconfig


@pytest.fixture
def argocd(kubeconfig: Path) -> Iterator[ArgoCD]:
    """Run an Argo CD for one test, in a namespace of its own: to stop, and to fill with any names."""
    with ArgoCD(built(), kubeconfig, f"argocd-{secrets.token_hex(4)}") as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what Argo CD has to say wherever a scenario fails."""
    report = yield
    running = getattr(item, "funcargs", {}).get("argocd")
    told = call.excinfo is not None and call.excinfo.errisinstance(NotSoon)
    if report.when == "call" and report.failed and isinstance(running, ArgoCD) and not told:
        report.sections.append(("Argo CD", running.report()))
    return report
