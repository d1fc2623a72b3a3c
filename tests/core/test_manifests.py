"""ApplicationSets that are printed: what is asked for, and nothing that Argo CD could read as something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.application import TENANT_LABEL
from tenantry.core.errors import ConfigurationError
from tenantry.core.fields import Naming
from tenantry.core.manifests import PODINFO, Known, Origin, Wanted, application_sets

KNOWN = Known(views=("paying", "trial"))
PLAIN = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1).filter(lambda text: "{{" not in text)


def printed(wanted: Wanted, known: Known = KNOWN) -> list[Any]:
    return list(application_sets(wanted, known))


def one(known: Known = KNOWN, **wanted: Any) -> Any:  # noqa: ANN401 -- as deep as a manifest
    (found,) = printed(Wanted(**wanted), known)
    return found


def asked(found: Any) -> object:  # noqa: ANN401 -- as deep as a manifest
    return found["spec"]["generators"][0]["plugin"].get("input")


def problems(known: Known = KNOWN, **wanted: Any) -> tuple[str, ...]:  # noqa: ANN401 -- fields of Wanted
    with pytest.raises(ConfigurationError) as raised:
        application_sets(Wanted(**wanted), known)
    return raised.value.problems


def texts(document: object) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield from (*texts(key), *texts(value))
    elif isinstance(document, list):
        for value in document:
            yield from texts(value)
    elif isinstance(document, str):
        yield document


# --- what is printed ---------------------------------------------------------------------------------------------


def test_without_any_wish_it_is_one_application_set_of_all_tenants() -> None:
    assert one() == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ApplicationSet",
        "metadata": {"name": "tenants", "namespace": "argocd"},
        "spec": {
            "goTemplate": True,
            "goTemplateOptions": ["missingkey=error"],
            "generators": [
                {"plugin": {"configMapRef": {"name": "tenant-generator-plugin"}, "requeueAfterSeconds": 1800}}
            ],
            "template": {
                "metadata": {
                    "name": "{{ .tenantName }}",
                    "labels": {"tenantry.io/tenant": "{{ .tenantLabel }}"},
                },
                "spec": {
                    "project": "default",
                    "destination": {"server": "https://kubernetes.default.svc", "namespace": "{{ .tenantName }}"},
                    "source": {
                        "repoURL": "https://stefanprodan.github.io/podinfo",
                        "chart": "podinfo",
                        "targetRevision": "6.7.0",
                    },
                    "syncPolicy": {
                        "automated": {"prune": True, "selfHeal": True},
                        "syncOptions": ["CreateNamespace=true"],
                    },
                },
            },
        },
    }


def test_what_is_wished_stands_where_argo_cd_looks_for_it() -> None:
    found = one(
        name="prod",
        namespace="gitops",
        plugin_configmap="tenantry",
        input={"status": ["active", "trial"], "allowEmpty": True},
        selector="plan=pro",
        views=("paying",),
        prefix="eu-",
        origin=Origin("https://git.example.com/apps.git", "main", path="tenant"),
        project="customers",
        dest_server="https://10.0.0.1:6443",
        dest_namespace="shared",
        requeue_after=60,
        preserve_resources=True,
        confirm_deletion=True,
    )

    assert found["metadata"] == {"name": "prod", "namespace": "gitops"}
    assert found["spec"]["generators"] == [
        {
            "plugin": {
                "configMapRef": {"name": "tenantry"},
                "requeueAfterSeconds": 60,
                "input": {
                    "parameters": {
                        "status": ["active", "trial"],
                        "allowEmpty": True,
                        "selector": "plan=pro",
                        "view": ["paying"],
                    }
                },
            }
        }
    ]
    assert found["spec"]["syncPolicy"] == {"preserveResourcesOnDeletion": True}
    assert found["spec"]["template"]["metadata"]["name"] == "eu-{{ .tenantName }}"
    assert found["spec"]["template"]["spec"] == {
        "project": "customers",
        "destination": {"server": "https://10.0.0.1:6443", "namespace": "shared"},
        "source": {"repoURL": "https://git.example.com/apps.git", "path": "tenant", "targetRevision": "main"},
        "syncPolicy": {
            "automated": {"prune": True, "selfHeal": True},
            "syncOptions": ["CreateNamespace=true", "Delete=confirm"],
        },
    }


@given(st.integers(1, 1024))
def test_each_shard_has_an_application_set_of_its_own(count: int) -> None:
    found = printed(Wanted(input={"status": "active"}, shards=count))

    assert [each["metadata"]["name"] for each in found] == [f"tenants-{index}" for index in range(count)]
    assert [asked(each) for each in found] == [
        {"parameters": {"status": "active", "shard": {"index": index, "count": count}}} for index in range(count)
    ]


@given(st.integers(1, 1023))
def test_with_more_shards_those_that_were_there_differ_in_their_count_alone(count: int) -> None:
    fewer, more = printed(Wanted(shards=count)), printed(Wanted(shards=count + 1))

    for each in more:
        each["spec"]["generators"][0]["plugin"]["input"]["parameters"]["shard"]["count"] = count

    assert more[:count] == fewer


@pytest.mark.parametrize(
    ("field", "go", "tag"),
    [
        ("appName", True, "{{ .appName }}"),
        ("appName", False, "{{appName}}"),
        ("_0", True, "{{ ._0 }}"),
        ("app-name", True, '{{ index . "app-name" }}'),
        ("app-name", False, "{{app-name}}"),
        ("0name", True, '{{ index . "0name" }}'),
        ('a "b" }} \\ \n', True, r'{{ index . "a \"b\" }} \\ \n" }}'),
        ("名", True, '{{ index . "名" }}'),
        ("名", False, "{{名}}"),
    ],
)
def test_computed_fields_are_inserted_by_the_names_that_they_have(field: str, go: bool, tag: str) -> None:
    as_name = one(Known(Naming(field, "b")), go_template=go)["spec"]["template"]["metadata"]
    as_label = one(Known(Naming("b", field)), go_template=go)["spec"]["template"]["metadata"]

    assert (as_name["name"], as_label["labels"][TENANT_LABEL]) == (tag, tag)


@given(PLAIN, PLAIN, PLAIN, PLAIN, st.booleans(), st.booleans())
def test_argo_cd_finds_no_tags_but_those_of_name_and_label(
    url: str, folder: str, revision: str, server: str, chart: bool, go: bool
) -> None:
    origin = Origin(url, revision, chart=folder) if chart else Origin(url, revision, path=folder)
    found = one(origin=origin, dest_server=f"https://{server}", prefix="a-", go_template=go)

    name, label = ("{{ .tenantName }}", "{{ .tenantLabel }}") if go else ("{{tenantName}}", "{{tenantLabel}}")
    assert {text for text in texts(found) if "{{" in text} == {f"a-{name}", label}


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"name": "Tenants"}, "--name 'Tenants' is not a DNS-1123 label of at most 63 characters."),
        ({"name": "a" * 64}, f"--name '{'a' * 64}' is not a DNS-1123 label of at most 63 characters."),
        (
            {"name": "a" * 62, "shards": 11},
            f"--name '{'a' * 62}' is not a DNS-1123 label of at most 60 characters.",
        ),
        ({"name": "a\n"}, "--name 'a?' is not a DNS-1123 label of at most 63 characters."),
        ({"namespace": ""}, "--namespace '' is not a DNS-1123 label of at most 63 characters."),
        ({"dest_namespace": "-a"}, "--dest-namespace '-a' is not a DNS-1123 label of at most 63 characters."),
        (
            {"plugin_configmap": "a..b"},
            "--plugin-configmap 'a..b' is not a DNS-1123 name of at most 253 characters.",
        ),
        ({"project": "a b"}, "--project 'a b' is not a DNS-1123 name of at most 253 characters."),
        (
            {"prefix": "-a"},
            "--prefix '-a' begins no DNS-1123 label: allowed are a-z, 0-9 and, not first, '-'.",
        ),
        (
            {"prefix": "a" * 14},
            "The Applications' names would have 54 characters, --prefix 14 and naming.length 40: Helm allows 53.",
        ),
        (
            {"dest_server": "in-cluster"},
            "--dest-server 'in-cluster' is no address such as https://kubernetes.default.svc.",
        ),
        (
            {"origin": replace(PODINFO, chart="{{ .chart }}")},
            "--chart '{{ .chart }}' has a tag, which only the printed text may get: write it in there.",
        ),
        (
            {"origin": Origin("u", "v", path=" a")},
            "--path ' a' is empty, or begins or ends with a space, or has a control character.",
        ),
        (
            {"origin": replace(PODINFO, target_revision="")},
            "--target-revision '' is empty, or begins or ends with a space, or has a control character.",
        ),
        (
            {"origin": replace(PODINFO, repo_url="a\udcffb")},
            "--repo-url 'a?b' is empty, or begins or ends with a space, or has a control character.",
        ),
        ({"input": {"allowEmpty": "yes"}}, "allowEmpty is true or false."),
        ({"input": {"shard": "1"}}, "'shard' is no field. Give the number of them by --shards."),
        ({"input": {"view": "a"}}, "'view' is no field. Give it by --view."),
        ({"input": {"selector": "a"}}, "'selector' is no field. Give it by --selector."),
        ({"input": {"": "a"}}, "'' is no name of a field."),
        ({"input": {"a": ["b", "\udcff"]}}, "A value of 'a' is no Unicode text."),
        (
            {"views": ("payng",)},
            "--view 'payng' is no view of the configuration. Known: paying, trial. Did you mean 'paying'?",
        ),
        ({"selector": "\udcff"}, "--selector is no Unicode text."),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_the_name_of_its_option(wanted: dict[str, Any], problem: str) -> None:
    assert problems(**wanted) == (problem,)


def test_a_selector_is_refused_where_tenantry_would_refuse_it() -> None:
    (problem,) = problems(selector="plan in ()")

    assert problem.startswith("--selector: The selector has an empty set before ')' at character 10")


def test_a_view_is_refused_where_the_configuration_has_none() -> None:
    assert problems(Known(), views=("paying",)) == (
        "--view 'paying' is no view of the configuration. It has none: name its file by --config.",
    )


@pytest.mark.parametrize("wanted", [{"input": {"paln": "pro"}}, {"selector": "paln=pro"}])
def test_a_field_is_refused_where_the_configuration_lists_them_all(wanted: dict[str, Any]) -> None:
    known = Known(fields=("plan", "settings", "tenantName"))

    assert problems(known, **wanted) == (
        "There is no field 'paln'. Known: plan, settings, tenantName. Did you mean 'plan'?",
    )
    assert one(known, input={"settings.tier": "gold", "plan": "pro"}, selector="tenantName=a")


def test_everything_that_is_wrong_is_told_at_once() -> None:
    assert len(problems(name="A", namespace="B", views=("c",), selector="!", prefix="D")) == 5


def test_without_a_name_or_a_label_there_is_nothing_to_call_an_application_by() -> None:
    assert problems(Known(Naming(None, None))) == (
        "naming.name is off, but it is what the Applications are named by: give it the name of a field.",
        "naming.label is off, but it is what the Applications are found again by: give it the name of a field.",
    )


@pytest.mark.parametrize("field", ["a}", "{a", " a", "a\n", "a}}b"])
def test_a_field_that_argo_cd_would_not_find_without_go_templates_is_refused(field: str) -> None:
    (problem,) = problems(Known(Naming(field)), go_template=False)

    assert problem.startswith("naming.name '")
    assert problem.endswith("' cannot be inserted without Go templates: leave out --no-go-template.")
    assert one(Known(Naming(field)))


def test_a_prefix_and_the_longest_name_fill_what_helm_allows() -> None:
    assert one(prefix="a" * 13)
    assert one(Known(Naming(length=53)))
    assert problems(Known(Naming(length=63)))
