"""Whatever happens to the database while Argo CD polls, no customer's Application is deleted or made anew."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e import tutorial
from tests.e2e.argocd import ArgoCD
from tests.e2e.survival import lost, settled, some_passes, uids
from tests.faults.scenarios import FAULTS, Bed, Fault, environment_of
from tests.support.service import RIVAL, RunningService

Serving = Callable[..., RunningService]

TENANTS = 10
ACTIVE = 3
POLLS = 3
POLLS_OF_A_MINUTE = 30


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_no_fault_costs_an_application(
    fault: Fault[Bed], bed: Bed, argocd: ArgoCD, serving: Serving, plugin: tuple[str, ...], whole: bool
) -> None:
    service = serving({**environment_of(bed, fault), "AUTH_TOKEN": tutorial.token()}, command=plugin)
    tutorial.poll_often(argocd, service)
    before = settled(argocd, TENANTS)

    fault.make(bed)
    some_passes(argocd, POLLS_OF_A_MINUTE if whole else POLLS, meanwhile=lambda: fault.keep(bed))
    assert lost(argocd, before) == [], argocd.report()

    fault.mend(bed)
    bed.execute("INSERT INTO organization (tenant, status) VALUES ('kilo-media', 'active')")
    argocd.eventually(lambda: "foobar-app-kilo-media" in uids(argocd), within=90, what="The newcomer's Application")
    assert lost(argocd, before) == [], argocd.report()
    assert len(uids(argocd)) == TENANTS + 1


def test_a_column_that_vanishes_costs_no_application_of_a_set_that_asks_for_it(
    bed: Bed, argocd: ArgoCD, serving: Serving
) -> None:
    [fault] = [fault for fault in FAULTS if fault.name == "a column is dropped"]
    # Every column is served, whichever there are: none is missed because somebody named it.
    url = bed.database.url(bed.reader, bed.password, bed.proxy.port)
    service = serving({"TENANTRY_SOURCE_URL": url, "AUTH_TOKEN": tutorial.token()})
    tutorial.poll_often(argocd, service, variant="-input")
    before = settled(argocd, ACTIVE)

    fault.make(bed)
    some_passes(argocd, POLLS)

    assert lost(argocd, before) == [], argocd.report()


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.empties_the_rival], ids=lambda fault: fault.name)
def test_the_same_fault_costs_a_plugin_that_answers_it_with_an_empty_list_its_applications(
    fault: Fault[Bed], bed: Bed, argocd: ArgoCD, serving: Serving
) -> None:
    rival = serving({**environment_of(bed, fault), "AUTH_TOKEN": tutorial.token()}, command=RIVAL)
    tutorial.poll_often(argocd, rival)
    before = settled(argocd, TENANTS)

    fault.make(bed)

    def suffers() -> bool:
        fault.keep(bed)
        return bool(lost(argocd, before))

    argocd.eventually(suffers, within=60, what="The loss of Applications")
