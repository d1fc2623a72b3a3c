"""Names and labels of tenants on the real controller, and the selections of printed ApplicationSets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tenantry.core.naming import tenant_label, tenant_name
from tests.e2e import tutorial
from tests.e2e.argocd import ArgoCD, Object, load
from tests.e2e.printed import GO, contented, labels, printed
from tests.e2e.sets import application_set, parameters, plugin, tag, template
from tests.e2e.survival import settled, some_passes, uids
from tests.support.postgres import Database
from tests.support.service import RunningService

Serving = Callable[..., RunningService]

FOLDER = Path(__file__).parent
ALIKE = ["Acme_Corp", "acme-corp"]
ODD = [
    *ALIKE,
    "acme corp",
    "«Ромашка» Москва",
    "株式会社",
    "北京",
    "🚀",
    "…",
    "a" * 80,
    "Acme, Inc. (EU)",
    "www.example.com",
    "{{ .tenantName }}",
    "x-0a1b2c3d4f",
    "1e6",
]


def serve(argocd: ArgoCD, database: Database, serving: Serving, **settings: str) -> RunningService:
    """Serve the table of customers to Argo CD, as the settings say."""
    source = {"TENANTRY_SOURCE_URL": database.url(), "TENANTRY_SOURCE_TABLE": "customer"}
    service = serving({"AUTH_TOKEN": tutorial.token(), **source, **settings})
    tutorial.connect(argocd, service)
    return service


def customers(*tenants: str) -> str:
    """Return the SQL of a table of these."""
    rows = ", ".join(f"('{tenant}')" for tenant in tenants)
    return f"CREATE TABLE customer (tenant text PRIMARY KEY); INSERT INTO customer VALUES {rows}"


def problem(argocd: ArgoCD, name: str) -> str:
    """Return what an ApplicationSet complains of, once it does."""

    def told() -> str:
        condition: Object = argocd.conditions(name)["ErrorOccurred"]
        return str(condition["message"]) if condition["status"] == "True" else ""

    return argocd.eventually(told, what="A problem")


def test_two_tenants_that_the_tutorials_template_would_merge_each_get_their_own(
    argocd: ArgoCD, database: Database, serving: Serving
) -> None:
    database.execute(customers(*ALIKE))
    serve(argocd, database, serving)
    argocd.apply(tutorial.application_set())

    assert "duplicate name: foobar-app-acme-corp" in problem(argocd, tutorial.NAME)
    assert uids(argocd) == {}

    argocd.apply(*printed())

    assert sorted(settled(argocd, 2)) == sorted(map(tenant_name, ALIKE))


@pytest.mark.parametrize("go", GO)
def test_tenants_of_any_id_deploy_under_their_names_and_labels(
    argocd: ArgoCD, database: Database, serving: Serving, go: str
) -> None:
    database.execute(customers(*ODD))
    serve(argocd, database, serving)
    argocd.apply(*printed(go, "--prefix", "longest-ones-"))

    settled(argocd, len(ODD))
    argocd.eventually(lambda: contented(argocd, "tenants"), what="A pass")

    assert labels(argocd) == {f"longest-ones-{tenant_name(tenant)}": tenant_label(tenant) for tenant in ODD}
    assert {found["spec"]["destination"]["namespace"] for found in argocd.applications().values()} == set(uids(argocd))


@pytest.mark.parametrize("go", GO)
def test_fields_that_are_called_otherwise_are_found_by_what_they_are_called(
    argocd: ArgoCD, database: Database, serving: Serving, go: str
) -> None:
    called = {"TENANTRY_NAMING_NAME": "app-name", "TENANTRY_NAMING_LABEL": '0 "label": 1'}
    database.execute(customers(*ALIKE))
    serve(argocd, database, serving, **called)
    argocd.apply(*printed(go, environment=called))

    settled(argocd, 2)

    assert labels(argocd) == {tenant_name(tenant): tenant_label(tenant) for tenant in ALIKE}


def test_a_row_that_breaks_an_allow_list_keeps_its_application_as_it_was_while_others_change(
    argocd: ArgoCD, database: Database, serving: Serving, tmp_path: Path
) -> None:
    database.execute("""
        CREATE TABLE customer (tenant text PRIMARY KEY, project text, replicas int);
        INSERT INTO customer VALUES ('acme', 'default', 1), ('beta', 'default', 1)
    """)
    file = tmp_path / "tenantry.yaml"
    file.write_text("fields: {project: {allow: [default, team-*]}}\n")
    serve(argocd, database, serving, TENANTRY_CONFIG=str(file))
    made = template(tag("tenantName"), {"replicas": tag("replicas")})
    made["spec"]["project"] = tag("project")
    # One that there is: to a project that there is not, Argo CD itself would not move it.
    argocd.apply({**load(FOLDER / "argocd.yaml")[0], "metadata": {"name": "strangers"}})
    argocd.apply(application_set("customers", plugin(), template=made))
    before = settled(argocd, 2)
    acme = argocd.applications()["acme"]

    database.execute("""
        UPDATE customer SET project = 'strangers', replicas = 9 WHERE tenant = 'acme';
        UPDATE customer SET replicas = 2 WHERE tenant = 'beta'
    """)
    argocd.eventually(lambda: parameters(argocd.applications()["beta"]) == {"replicas": "2"}, what="The change of beta")
    some_passes(argocd, 2)

    assert uids(argocd) == before
    assert argocd.applications()["acme"] == acme

    database.execute("UPDATE customer SET project = 'default' WHERE tenant = 'acme'")
    argocd.eventually(lambda: parameters(argocd.applications()["acme"]) == {"replicas": "9"}, what="The change of acme")
    assert uids(argocd) == before


def test_fields_a_view_and_a_selector_select_on_argo_cd_as_on_the_service(
    argocd: ArgoCD, database: Database, serving: Serving, tmp_path: Path
) -> None:
    database.execute("""
        CREATE TABLE customer (tenant text PRIMARY KEY, plan text, region text, note text);
        INSERT INTO customer VALUES
            ('all', 'pro', 'eu', 'no'), ('free', 'free', 'eu', 'no'), ('far', 'pro', 'us', 'no'),
            ('more', 'pro', 'uk', '{{ .tenantName }}'), ('other', 'pro', 'eu', 'yes')
    """)
    file = tmp_path / "tenantry.yaml"
    file.write_text("views: {paying: {selector: 'plan in (pro,enterprise)'}}\n")
    service = serve(argocd, database, serving, TENANTRY_CONFIG=str(file))
    [wanted] = printed(
        "--config", file, "--view", "paying", "--selector", "region notin (us)", "note=no", "note={{ .tenantName }}"
    )  # fmt: skip
    asked = wanted["spec"]["generators"][0]["plugin"]["input"]["parameters"]

    argocd.apply(wanted)

    assert sorted(settled(argocd, 2)) == ["all", "more"]
    assert sorted(service.ask(asked, token=tutorial.token()).tenants()) == ["all", "more"]
