"""`tenantry manifests`, and what readers of YAML make of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tenantry.cli.output import print_manifests
from tests.cli.conftest import Command

VERSIONS = ("1.1", "1.2")
"""Of YAML: kubectl reads the older one."""

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def read(text: str, version: str = "1.1") -> list[Any]:
    """Return the documents; one by one, since a line `---` would set the version back."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    return [yaml.load(document) for document in re.split(r"^---\n", text, flags=re.MULTILINE)[1:]]


def asked(printed: Any) -> Any:  # noqa: ANN401 -- as deep as a manifest
    return printed["spec"]["generators"][0]["plugin"]["input"]["parameters"]


def test_it_reads_from_what_it_is_to_what_it_makes(tenantry: Command) -> None:
    ended = tenantry("manifests", "applicationset", "status=active")

    assert (ended.code, ended.err) == (0, "")
    assert (
        ended.out
        == """\
---
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata:
  name: tenants
  namespace: argocd
spec:
  goTemplate: true
  goTemplateOptions:
  - missingkey=error
  generators:
  - plugin:
      configMapRef:
        name: tenant-generator-plugin
      requeueAfterSeconds: 1800
      input:
        parameters:
          status: active
  template:
    metadata:
      name: '{{ .tenantName }}'
      labels:
        tenantry.io/tenant: '{{ .tenantLabel }}'
    spec:
      project: default
      destination:
        server: https://kubernetes.default.svc
        namespace: '{{ .tenantName }}'
      source:
        repoURL: https://stefanprodan.github.io/podinfo
        chart: podinfo
        targetRevision: '6.7.0'
      syncPolicy:
        automated:
          prune: true
          selfHeal: true
        syncOptions:
        - CreateNamespace=true
"""
    )


def test_fields_and_options_become_the_input_of_the_generator(tenantry: Command) -> None:
    ended = tenantry(
        "manifests", "applicationset", "status=active", "status=trial", "plan=no", "allowEmpty=true",
        "--selector", "region in (eu,us)",
    )  # fmt: skip

    assert (ended.code, ended.err) == (0, "")
    (found,) = read(ended.out)
    assert asked(found) == {
        "status": ["active", "trial"],
        "plan": "no",
        "allowEmpty": True,
        "selector": "region in (eu,us)",
    }


def test_shards_are_printed_one_after_the_other(tenantry: Command) -> None:
    ended = tenantry("manifests", "applicationset", "--shards", 3, "--name", "prod")

    assert ended.out.startswith("---\napiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\n")
    assert [each["metadata"]["name"] for each in read(ended.out)] == ["prod-0", "prod-1", "prod-2"]
    assert [asked(each)["shard"] for each in read(ended.out)] == [{"index": index, "count": 3} for index in range(3)]


def test_json_is_a_list_of_the_same(tenantry: Command) -> None:
    wanted = ("manifests", "applicationset", "--shards", 2, "--no-go-template", "--confirm-deletion")

    as_yaml, as_json = tenantry(*wanted), tenantry(*wanted, "-o", "json")

    assert json.loads(as_json.out) == {"apiVersion": "v1", "kind": "List", "items": read(as_yaml.out)}


def test_every_option_reaches_the_manifest(tenantry: Command) -> None:
    ended = tenantry(
        "manifests", "applicationset", "--name", "prod", "--namespace", "gitops", "--plugin-configmap", "tenantry",
        "--no-go-template", "--prefix", "eu-", "--repo-url", "https://git.example.com/apps.git", "--path", "tenant",
        "--project", "customers", "--dest-server", "https://10.0.0.1", "--dest-namespace", "shared",
        "--requeue-after", 60, "--preserve-resources-on-deletion", "--confirm-deletion",
    )  # fmt: skip

    (found,) = read(ended.out)
    spec, template = found["spec"], found["spec"]["template"]
    assert found["metadata"] == {"name": "prod", "namespace": "gitops"}
    assert spec["goTemplate"] is False
    assert "goTemplateOptions" not in spec
    assert spec["generators"] == [{"plugin": {"configMapRef": {"name": "tenantry"}, "requeueAfterSeconds": 60}}]
    assert spec["syncPolicy"] == {"preserveResourcesOnDeletion": True}
    assert template["metadata"] == {"name": "eu-{{tenantName}}", "labels": {"tenantry.io/tenant": "{{tenantLabel}}"}}
    assert template["spec"]["project"] == "customers"
    assert template["spec"]["destination"] == {"server": "https://10.0.0.1", "namespace": "shared"}
    assert template["spec"]["source"] == {
        "repoURL": "https://git.example.com/apps.git",
        "path": "tenant",
        "targetRevision": "HEAD",
    }
    assert template["spec"]["syncPolicy"]["syncOptions"] == ["CreateNamespace=true", "Delete=confirm"]


def test_the_configuration_says_how_names_and_views_are_called(tenantry: Command, tmp_path: Path) -> None:
    file = tmp_path / "tenantry.yaml"
    file.write_text("naming: {name: app, label: app-label}\nviews: {paying: {selector: plan=pro}}\n")

    ended = tenantry("manifests", "applicationset", "--config", file, "--view", "paying")

    (found,) = read(ended.out)
    assert asked(found) == {"view": ["paying"]}
    assert found["spec"]["template"]["metadata"] == {
        "name": "{{ .app }}",
        "labels": {"tenantry.io/tenant": '{{ index . "app-label" }}'},
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--naming-name", "off"], "naming.name is off, but it is what the Applications are named by"),
        (["--naming-label", "off"], "naming.label is off, but it is what the Applications are found again by"),
        (["--source-parameters", "tenant,plan", "paln=pro"], "Known: plan, tenant, tenantLabel, tenantName."),
        (["--view", "paying"], "--view 'paying' is no view of the configuration."),
        (["--shards", "0"], "Invalid value for '--shards': 0 is not in the range 1<=x<=1024."),
        (["--shards", "1025"], "1025 is not in the range 1<=x<=1024."),
        (["--requeue-after", "0"], "0 is not in the range 1<=x<=86400."),
        (["--chart", "podinfo"], "--chart, --path and --target-revision need --repo-url."),
        (["--repo-url", "u"], "With --repo-url, give --chart or --path, one of them."),
        (["--repo-url", "u", "--chart", "c", "--path", "p"], "With --repo-url, give --chart or --path, one of them."),
        (["--repo-url", "u", "--chart", "c"], "With --chart, give its version as --target-revision."),
        (["--repo-url", "u", "--path", ""], "--path '' is empty"),
        (["active"], "'active' is not FIELD=VALUE."),
        (["allowEmpty=ja"], "allowEmpty is true or false."),
        (["--output", "table"], "'table' is not one of 'yaml', 'json'."),
    ],
)  # fmt: skip
def test_wrong_use_prints_nothing_and_says_what_is_allowed(tenantry: Command, arguments: list[str], told: str) -> None:
    ended = tenantry("manifests", "applicationset", *arguments)

    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"]))
    )
)
@example(dict.fromkeys(["no", "1:30", "0777", "1e3", "1_000", "2001-01-01", "~", "<<", "=", "", "TRUE"], "Null"))
@example(dict.fromkeys(["yes", "off", "N", "1:2:3", "-1_0", "+.5"], "ON"))
def test_every_text_is_read_back_as_the_text_that_it_is(
    capsys: pytest.CaptureFixture[str], given_texts: dict[str, str]
) -> None:
    wanted: list[dict[str, object]] = [{"once": given_texts}, {"again": [given_texts, given_texts]}]
    print_manifests(wanted, "yaml")

    text = capsys.readouterr().out
    for version in VERSIONS:
        assert read(text, version) == wanted
    assert "&id" not in text


def test_a_long_text_stays_on_its_line(tenantry: Command) -> None:
    selector = f"plan in ({','.join(f'plan-{number}' for number in range(100))}), region in (eu, us)"

    ended = tenantry("manifests", "applicationset", "--selector", selector)

    assert f"          selector: {selector}\n" in ended.out
