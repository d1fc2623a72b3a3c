"""What becomes of a value on its way from the database into an Application, with Go templates and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.e2e import tutorial
from tests.e2e.argocd import ArgoCD, Object
from tests.e2e.sets import application_set, matrix, parameters, plugin, tag, template
from tests.e2e.survival import lost, settled, uids
from tests.support.postgres import Database
from tests.support.service import RunningService

Deploying: TypeAlias = Callable[..., None]

GO = pytest.mark.parametrize("go", [True, False], ids=["with Go templates", "without"])
CLUSTERS: Object = {"clusters": {}}  # of which there is one, Argo CD's own: "in-cluster"

COLUMNS = [
    # A number in JSON would reach the template as a float: 1e+06. So each value leaves tenantry as text.
    pytest.param("bigint", "1000000", "1000000", id="a million"),
    pytest.param("bigint", "9007199254740993", "9007199254740993", id="an integer that no float holds"),
    pytest.param("numeric", "9007199254740993", "9007199254740993", id="a numeric that no float holds"),
    pytest.param("numeric(9, 2)", "1234567.50", "1234567.50", id="a price with its scale"),
    pytest.param("double precision", "1e20", "100000000000000000000", id="a float that is large"),
    pytest.param("double precision", "0.00001", "0.00001", id="a float that is small"),
    pytest.param("boolean", "true", "true", id="a boolean"),
    # As null it would be "<nil>", or "<no value>" with Go templates, which missingkey=error does not catch.
    pytest.param("text", "NULL", "", id="a text that is null"),
    pytest.param("bigint", "NULL", "", id="a number that is null"),
    # An empty object or list would be dropped without Go templates, and its tag stay in the Application.
    pytest.param("jsonb", "'{}'", "{}", id="an empty object"),
    # A template is rendered once: what it inserts is not read as a template again.
    pytest.param("text", "'Hi {{ .tenant }} {{tenant}}'", "Hi {{ .tenant }} {{tenant}}", id="a text with tags"),
    pytest.param("text", "'open {{ only'", "open {{ only", id="half a tag"),
    pytest.param("text", """'say "hi" ''there'''""", """say "hi" 'there'""", id="quotes"),
    pytest.param("text", r"E'one\ntwo: 2\n\tthree'", "one\ntwo: 2\n\tthree", id="newlines and a tab"),
    pytest.param("text", r"'C:\new $HOME ${X} #&<>,='", r"C:\new $HOME ${X} #&<>,=", id="backslashes and signs"),
    pytest.param("text", "'Zoë 北京 🚀'", "Zoë 北京 🚀", id="unicode"),
]
HOSTILE = r"E'eve\n    owner: eve'"
NESTED = """
    CREATE TABLE customer (tenant text PRIMARY KEY, settings jsonb);
    INSERT INTO customer VALUES
        ('acme', '{"tier": "gold", "users": 1000000, "beta": true, "tags": ["a", "b"], "a.b": "c", "none": null}'),
        ('zeta', '{"tier": "free"}')
"""


@pytest.fixture
def deploying(argocd: ArgoCD, database: Database, serving: Callable[..., RunningService], tmp_path: Path) -> Deploying:
    """Return a way to serve a table of customers to Argo CD, some of whose columns may hold any text."""

    def deploy(table: str, *free: str) -> None:
        database.execute(table)
        config = tmp_path / "tenantry.yaml"
        fields = {name: {"type": "text"} for name in free}
        config.write_text(json.dumps({"source": {"table": "customer"}, "fields": fields}))
        source = {"TENANTRY_SOURCE_URL": database.url(), "TENANTRY_CONFIG": str(config)}
        tutorial.connect(argocd, serving({"AUTH_TOKEN": tutorial.token(), **source}))

    return deploy


def customer(display: str) -> str:
    """Return the SQL of a table with one customer."""
    return f"""
        CREATE TABLE customer (tenant text PRIMARY KEY, display text);
        INSERT INTO customer VALUES ('acme', {display})
    """


def failure(argocd: ArgoCD, name: str) -> str:
    """Return what an ApplicationSet says of its error, once there is one."""

    def failed() -> str:
        condition = argocd.conditions(name)["ErrorOccurred"]
        return str(condition["message"]) if condition["status"] == "True" else ""

    return argocd.eventually(failed, what="An error")


def helm(argocd: ArgoCD, name: str) -> Any:  # noqa: ANN401 -- as deep as YAML goes
    """Return what an Application hands to Helm, once it is there."""
    return argocd.eventually(lambda: argocd.applications()[name], what=name)["spec"]["source"]["helm"]


@GO
def test_every_value_is_rendered_as_the_text_it_has_in_the_answer(
    argocd: ArgoCD, deploying: Deploying, go: bool
) -> None:
    cases = {f"c{number}": case.values for number, case in enumerate(COLUMNS)}
    columns = ", ".join(f"{name} {kind}" for name, (kind, _, _) in cases.items())
    literals = ", ".join(str(literal) for _, literal, _ in cases.values())
    deploying(
        f"CREATE TABLE customer (tenant text PRIMARY KEY, {columns}); INSERT INTO customer VALUES ('acme', {literals})",
        *[name for name, case in cases.items() if "\n" in str(case[2])],
    )
    made = template(tag("tenant", go=go), {name: tag(name, go=go) for name in cases})
    argocd.apply(application_set("values", plugin(), template=made, go=go))

    settled(argocd, 1)

    held = parameters(argocd.applications()["acme"])
    wanted = {name: text for name, (_, _, text) in cases.items()}
    assert {COLUMNS[int(name[1:])].id: text for name, text in held.items() if text != wanted[name]} == {}
    assert held.keys() == wanted.keys()


@GO
def test_nested_json_is_reached_by_its_path_and_a_leaf_that_a_tenant_lacks_is_empty(
    argocd: ArgoCD, deploying: Deploying, go: bool
) -> None:
    deploying(NESTED)
    tags = {leaf: tag(f"settings.{leaf}", go=go) for leaf in ("tier", "users", "beta", "none")}
    tags["a.b"] = '{{ index .settings "a.b" }}' if go else "{{settings.a.b}}"
    argocd.apply(application_set("nested", plugin(), template=template(tag("tenant", go=go), tags), go=go))

    settled(argocd, 2)

    assert {name: parameters(found) for name, found in argocd.applications().items()} == {
        "acme": {"tier": "gold", "users": "1000000", "beta": "true", "none": "", "a.b": "c"},
        "zeta": {"tier": "free", "users": "", "beta": "", "none": "", "a.b": ""},
    }


@pytest.mark.parametrize(
    ("go", "inserted", "wanted"),
    [
        pytest.param(
            True,
            '{{ if kindIs "slice" .settings.tags }}{{ join "," .settings.tags }}{{ end }}',
            {"acme": "a,b", "zeta": ""},
            id="with Go templates, after a look at its kind",
        ),
        pytest.param(
            False,
            "{{settings.tags.1}}",
            {"acme": "b", "zeta": "{{settings.tags.1}}"},
            id="without, each item has a path, and its tag stays where there is none",
        ),
    ],
)
def test_a_list_is_a_list(
    argocd: ArgoCD, deploying: Deploying, go: bool, inserted: str, wanted: dict[str, str]
) -> None:
    deploying(NESTED)
    made = template(tag("tenant", go=go), {"tags": inserted})
    argocd.apply(application_set("nested", plugin(), template=made, go=go))

    settled(argocd, 2)

    assert {name: parameters(found)["tags"] for name, found in argocd.applications().items()} == wanted


def test_a_template_that_ranges_over_a_list_fails_where_a_tenant_lacks_it(argocd: ArgoCD, deploying: Deploying) -> None:
    """A list that is lacking is the empty text, and one tenant's error is the error of all."""
    deploying(NESTED)
    made = template("{{ .tenant }}", {"tags": "{{ range .settings.tags }}{{ . }} {{ end }}"})
    argocd.apply(application_set("nested", plugin(), template=made))

    assert "range can't iterate over" in failure(argocd, "nested")
    assert uids(argocd) == {}


def test_with_go_templates_a_leaf_that_the_last_tenant_takes_along_stops_all_until_the_template_is_mended(
    argocd: ArgoCD, database: Database, deploying: Deploying
) -> None:
    """A leaf is served while any tenant has it. Argo CD cannot render the others without, and deletes nothing."""
    deploying(NESTED)
    argocd.apply(
        application_set("nested", plugin(), template=template(tag("tenant"), {"users": tag("settings.users")}))
    )
    before = settled(argocd, 2)

    database.execute("DELETE FROM customer WHERE tenant = 'acme'")
    message = failure(argocd, "nested")

    assert 'map has no entry for key "users"' in message
    assert lost(argocd, before) == []

    mended = '{{ dig "users" "" .settings }}'
    argocd.apply(application_set("nested", plugin(), template=template(tag("tenant"), {"users": mended})))
    argocd.eventually(lambda: lost(argocd, before) == ["acme"], what="The end of acme")


def test_without_go_templates_a_leaf_that_the_last_tenant_takes_along_leaves_its_tag_to_the_others(
    argocd: ArgoCD, database: Database, deploying: Deploying
) -> None:
    """A leaf is served while any tenant has it. Argo CD then writes the tag itself into the Applications."""
    deploying(NESTED)
    made = template("{{tenant}}", {"users": "{{settings.users}}"})
    argocd.apply(application_set("nested", plugin(), template=made, go=False))
    before = settled(argocd, 2)
    assert parameters(argocd.applications()["zeta"]) == {"users": ""}

    database.execute("DELETE FROM customer WHERE tenant = 'acme'")
    argocd.eventually(lambda: lost(argocd, before) == ["acme"], what="The end of acme")

    assert parameters(argocd.applications()["zeta"]) == {"users": "{{settings.users}}"}


def test_without_go_templates_an_object_itself_has_no_name_and_its_tag_stays(
    argocd: ArgoCD, deploying: Deploying
) -> None:
    """Argo CD keeps the paths of the leaves alone, and leaves a tag that it does not know as it is."""
    deploying(NESTED)
    made = template("{{tenant}}", {"settings": "{{settings}}", "misspelt": "{{teir}}"})
    argocd.apply(application_set("nested", plugin(), template=made, go=False))

    settled(argocd, 2)

    assert parameters(argocd.applications()["acme"]) == {"settings": "{{settings}}", "misspelt": "{{teir}}"}


def test_with_go_templates_an_object_is_written_as_json_by_to_json(argocd: ArgoCD, deploying: Deploying) -> None:
    deploying(NESTED)
    made = template("{{ .tenant }}", {"settings": "{{ .settings | toJson }}"})
    argocd.apply(application_set("nested", plugin(), template=made))

    settled(argocd, 2)

    assert parameters(argocd.applications()["acme"]) == {
        "settings": '{"a.b":"c","beta":"true","none":"","tags":["a","b"],"tier":"gold","users":"1000000"}'
    }


def test_with_go_templates_a_misspelt_field_is_an_error_and_makes_no_application(
    argocd: ArgoCD, deploying: Deploying
) -> None:
    deploying(NESTED)
    argocd.apply(application_set("nested", plugin(), template=template("{{ .tenant }}", {"tier": "{{ .teir }}"})))

    assert 'map has no entry for key "teir"' in failure(argocd, "nested")
    assert uids(argocd) == {}


@GO
def test_a_values_object_holds_any_text_as_it_is(argocd: ArgoCD, deploying: Deploying, go: bool) -> None:
    """Argo CD parses it before it inserts anything."""
    deploying(customer(HOSTILE), "display")
    made = template(tag("tenant", go=go))
    made["spec"]["source"]["helm"] = {"valuesObject": {"labels": {"display": tag("display", go=go)}}}
    argocd.apply(application_set("values", plugin(), template=made, go=go))

    assert helm(argocd, "acme") == {"valuesObject": {"labels": {"display": "eve\n    owner: eve"}}}


@pytest.mark.parametrize(
    ("go", "inserted", "wanted"),
    [
        pytest.param(True, "{{ .display }}", "eve\n    owner: eve", id="with Go templates"),
        pytest.param(False, "{{display}}", "eve\n    owner: eve", id="without"),
        pytest.param(True, "{{ .display | toJson }}", r'"eve\n    owner: eve"', id="unless toJson quotes it"),
    ],
)
def test_a_text_with_newlines_adds_keys_to_values_that_are_text(
    argocd: ArgoCD, deploying: Deploying, go: bool, inserted: str, wanted: str
) -> None:
    """The values are a text to Argo CD, and what is inserted becomes part of the YAML."""
    deploying(customer(HOSTILE), "display")
    made = template(tag("tenant", go=go))
    made["spec"]["source"]["helm"] = {"values": f"labels:\n    display: {inserted}\n"}
    argocd.apply(application_set("values", plugin(), template=made, go=go))

    assert helm(argocd, "acme") == {"values": f"labels:\n    display: {wanted}\n"}


@pytest.mark.parametrize(
    ("inserted", "wanted"),
    [
        pytest.param("{{ .display }}", {"display": "eve", "owner": "eve"}, id="as it is"),
        pytest.param("{{ .display | toJson }}", {"display": "eve\n    owner: eve"}, id="unless toJson quotes it"),
    ],
)
def test_a_text_with_newlines_adds_keys_to_an_application_through_a_template_patch(
    argocd: ArgoCD, deploying: Deploying, inserted: str, wanted: dict[str, str]
) -> None:
    """A patch is rendered as text and parsed after that."""
    deploying(customer(HOSTILE), "display")
    made = application_set("patched", plugin(), template=template("{{ .tenant }}"))
    made["spec"]["templatePatch"] = f"metadata:\n  annotations:\n    display: {inserted}\n"
    argocd.apply(made)

    settled(argocd, 1)

    assert argocd.applications()["acme"]["metadata"]["annotations"] == wanted


@GO
def test_a_text_is_read_as_a_template_in_the_values_of_the_second_generator_of_a_matrix(
    argocd: ArgoCD, deploying: Deploying, go: bool
) -> None:
    """Argo CD renders such `values` twice: with what the first generator gives, then with the second's own."""
    deploying(customer(f"'{tag('name', go=go)}'"), "display")
    clusters = {"clusters": {"values": {"display": tag("display", go=go)}}}
    made = template(tag("tenant", go=go), {"display": tag("values.display", go=go)})
    argocd.apply(application_set("pairs", matrix(plugin(), clusters), template=made, go=go))

    settled(argocd, 1)

    assert parameters(argocd.applications()["acme"]) == {"display": "in-cluster"}


def test_half_a_tag_in_such_values_stops_the_whole_application_set(
    argocd: ArgoCD, database: Database, deploying: Deploying
) -> None:
    deploying(customer("'Acme'"), "display")
    clusters = {"clusters": {"values": {"display": tag("display")}}}
    made = template(tag("tenant"), {"display": tag("values.display")})
    argocd.apply(application_set("pairs", matrix(plugin(), clusters), template=made))
    before = settled(argocd, 1)

    database.execute("INSERT INTO customer VALUES ('eve', '{{ oops')")

    assert "failed to parse template {{ oops" in failure(argocd, "pairs")
    assert uids(argocd) == before


@GO
def test_with_tenantry_second_in_the_matrix_a_text_is_never_read_as_a_template(
    argocd: ArgoCD, deploying: Deploying, go: bool
) -> None:
    display = f"{tag('name', go=go)} {{{{ oops"
    deploying(customer(f"'{display}'"), "display")
    made = template(tag("tenant", go=go), {"display": tag("display", go=go), "cluster": tag("name", go=go)})
    argocd.apply(application_set("pairs", matrix(CLUSTERS, plugin()), template=made, go=go))

    settled(argocd, 1)

    assert parameters(argocd.applications()["acme"]) == {"display": display, "cluster": "in-cluster"}


def test_a_text_that_is_no_label_lets_argo_cd_delete_nothing_until_it_is_one(
    argocd: ArgoCD, database: Database, deploying: Deploying
) -> None:
    """Kubernetes refuses the Application, and a pass that cannot write one ends before it deletes any."""
    deploying(customer("'Acme'"), "display")
    database.execute("INSERT INTO customer VALUES ('beta', 'Beta'), ('gamma', 'Gamma')")
    made = template(tag("tenant"), {"display": tag("display")}, labels={"display": tag("display")})
    argocd.apply(application_set("labelled", plugin(), template=made))
    before = settled(argocd, 3)

    database.execute("""
        BEGIN;
        UPDATE customer SET display = 'Acme & Sons' WHERE tenant = 'acme';
        UPDATE customer SET display = 'Beta2' WHERE tenant = 'beta';
        DELETE FROM customer WHERE tenant = 'gamma';
        COMMIT
    """)
    message = failure(argocd, "labelled")
    argocd.eventually(
        lambda: parameters(argocd.applications()["beta"])["display"] == "Beta2", what="The change of beta"
    )

    assert "Acme & Sons" in message
    assert lost(argocd, before) == []

    database.execute("UPDATE customer SET display = 'Acme-and-Sons' WHERE tenant = 'acme'")
    argocd.eventually(lambda: lost(argocd, before) == ["gamma"], what="The end of gamma")
