"""The examples and the image's recipe: valid, hardened, and true to one another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import tenantry

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "examples" / "tutorial"
MANIFESTS = sorted(TUTORIAL.glob("*.yaml"))
APPLICATION_SETS = sorted(TUTORIAL.glob("applicationset*.yaml"))
TOOLS = Path(sys.executable).parent

Object = dict[str, Any]


def documents(path: Path) -> list[Object]:
    return [document for document in YAML(typ="safe", pure=True).load_all(path.read_text()) if document]


def objects() -> dict[tuple[str, str], Object]:
    found = {}
    for path in MANIFESTS:
        if path in APPLICATION_SETS:
            continue
        for document in documents(path):
            found[document["kind"], document["metadata"]["name"]] = document
    return found


def plugin() -> Object:
    return objects()["Deployment", "tenant-generator-plugin"]


def pod_of(workload: Object) -> Object:
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def container_of(workload: Object) -> Object:
    (container,) = pod_of(workload)["containers"]
    found: Object = container
    return found


def secret_references(workload: Object) -> list[tuple[str, str]]:
    sources = [variable["valueFrom"] for variable in container_of(workload)["env"] if "valueFrom" in variable]
    return [(source["secretKeyRef"]["name"], source["secretKeyRef"]["key"]) for source in sources]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TOOLS / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


WORKLOADS = [
    pytest.param(("Deployment", "tenant-generator-plugin"), id="tenantry"),
    pytest.param(("StatefulSet", "postgres"), id="PostgreSQL"),
]


# --- valid -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.33", "1.34", "1.35", "1.36", "1.37"])
def test_every_manifest_is_valid_for_a_supported_kubernetes(version: str) -> None:
    names = [str(path.relative_to(ROOT)) for path in MANIFESTS]

    checked = run("kubernetes-validate", "--strict", "-k", f"{version}.0", *names)

    lines = (checked.stdout + checked.stderr).splitlines()
    assert checked.returncode == 0, lines
    unchecked = [line for line in lines if not line.startswith("INFO") and "kind ApplicationSet" not in line]
    assert unchecked == []


def test_the_validation_would_notice_a_misspelt_field(tmp_path: Path) -> None:
    wrong = tmp_path / "deployment.yaml"
    wrong.write_text((TUTORIAL / "deployment.yaml").read_text().replace("readinessProbe", "readynessProbe"))

    checked = run("kubernetes-validate", "--strict", str(wrong))

    assert checked.returncode != 0


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    linted = run("hadolint", "Dockerfile")

    assert (linted.returncode, linted.stdout) == (0, "")


# --- hardened --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", WORKLOADS)
def test_a_pod_meets_the_restricted_pod_security_standard(key: tuple[str, str]) -> None:
    workload = objects()[key]
    pod, container = pod_of(workload), container_of(workload)

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("key", WORKLOADS)
def test_a_pod_gets_no_service_links_no_api_token_and_bounded_resources(key: tuple[str, str]) -> None:
    pod = pod_of(objects()[key])
    container = container_of(objects()[key])

    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["terminationGracePeriodSeconds"] > 0
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]


def test_every_secret_value_says_that_it_must_be_changed() -> None:
    secrets = [document for document in documents(TUTORIAL / "secrets.yaml") if document["kind"] == "Secret"]
    names = {"db_name": "organization", "db_user": "postgres"}

    values = {key: value for secret in secrets for key, value in secret["stringData"].items()}

    assert names.items() <= values.items()
    assert all(value.startswith("change-me") for key, value in values.items() if key not in names)


# --- tenantry's own Deployment and Service -----------------------------------------------------------------------


def test_the_deployment_starts_the_service_and_probes_it_where_it_answers() -> None:
    container = container_of(plugin())

    assert container["args"] == ["serve"]
    assert "command" not in container
    assert [port["containerPort"] for port in container["ports"] if port["name"] == "http"] == [4355]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_the_deployment_has_the_environment_of_the_tutorial() -> None:
    environment = [variable["name"] for variable in container_of(plugin())["env"]]

    tutorial = ["DB_NAME", "DB_USER", "DB_PASSWORD", "DB_HOST", "DB_PORT", "AUTH_TOKEN"]
    assert environment == [*tutorial, "TENANTRY_TOKENS_DIRECTORY"]


def test_the_file_that_is_swapped_in_brings_no_secret_no_database_and_no_configmap() -> None:
    kinds = [document["kind"] for document in documents(TUTORIAL / "deployment.yaml")]

    assert kinds == ["PersistentVolumeClaim", "Deployment", "Service"]


def test_the_service_leads_from_8080_to_tenantry_whether_it_is_ready_or_not() -> None:
    service = objects()["Service", "tenant-generator-plugin"]["spec"]
    labels = plugin()["spec"]["template"]["metadata"]["labels"]

    assert [(port["port"], port["targetPort"]) for port in service["ports"]] == [(8080, 4355)]
    assert service["publishNotReadyAddresses"] is True
    assert service["selector"].items() <= labels.items()
    assert plugin()["spec"]["selector"]["matchLabels"] == {"app": "tenant-generator-plugin"}


def test_the_tokens_are_mounted_where_tenantry_is_told_to_look() -> None:
    container = container_of(plugin())
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod_of(plugin())["volumes"]}

    directory = environment["TENANTRY_TOKENS_DIRECTORY"]

    assert directory == "/var/run/secrets/tenantry"
    assert volumes[mounts[directory]]["secret"]["secretName"] == "api-credentials"


# --- the names fit together --------------------------------------------------------------------------------------


def test_everything_lives_in_the_namespace_of_argo_cd() -> None:
    namespaces = {
        document["metadata"]["namespace"]
        for path in MANIFESTS
        for document in documents(path)
        if document["kind"] != "PersistentVolumeClaim"
    }

    assert namespaces == {"argocd"}


@pytest.mark.parametrize("key", WORKLOADS)
def test_a_pod_reads_only_secrets_and_keys_that_exist(key: tuple[str, str]) -> None:
    workload = objects()[key]

    missing = [
        (name, entry)
        for name, entry in secret_references(workload)
        if entry not in objects()["Secret", name]["stringData"]
    ]

    assert secret_references(workload)
    assert missing == []


def test_the_configmap_leads_to_the_service_and_to_the_token() -> None:
    data = objects()["ConfigMap", "tenant-generator-plugin"]["data"]

    service, _, port = data["baseUrl"].removeprefix("http://").partition(":")
    secret, _, key = data["token"].removeprefix("$").partition(":")

    assert int(port) in [port["port"] for port in objects()["Service", service]["spec"]["ports"]]
    assert key in objects()["Secret", secret]["stringData"]
    assert (secret, key) in secret_references(plugin())


def test_argo_cd_would_accept_the_configmap() -> None:
    data = objects()["ConfigMap", "tenant-generator-plugin"]["data"]

    assert data["baseUrl"] == data["baseUrl"].strip()
    assert data["token"].startswith("$")
    assert data["requestTimeout"].isdecimal()


def test_the_database_is_where_the_deployment_looks_for_it() -> None:
    environment = {variable["name"]: variable.get("value") for variable in container_of(plugin())["env"]}
    service = objects()["Service", environment["DB_HOST"]]["spec"]
    database = objects()["StatefulSet", "postgres"]

    assert [port["port"] for port in service["ports"]] == [int(environment["DB_PORT"])]
    assert service["selector"].items() <= database["spec"]["template"]["metadata"]["labels"].items()
    assert database["spec"]["serviceName"] == environment["DB_HOST"]


def test_the_database_starts_with_exactly_the_sample_tenants() -> None:
    script = objects()["ConfigMap", "postgres-init-sql"]["data"]
    (volume,) = [volume for volume in pod_of(objects()["StatefulSet", "postgres"])["volumes"] if "configMap" in volume]

    assert script == {"tenants.sql": (TUTORIAL / "tenants.sql").read_text()}
    assert volume["configMap"]["name"] == "postgres-init-sql"


# --- the ApplicationSets ---------------------------------------------------------------------------------------


def test_every_application_set_asks_the_plugin_of_the_configmap() -> None:
    for path in APPLICATION_SETS:
        (found,) = documents(path)
        (generator,) = found["spec"]["generators"]

        assert ("ConfigMap", generator["plugin"]["configMapRef"]["name"]) in objects()
        assert generator["plugin"]["requeueAfterSeconds"] == 120


def test_the_application_sets_differ_only_in_what_they_ask_for() -> None:
    plain, by_input, by_selector = (
        documents(TUTORIAL / name)[0]
        for name in ("applicationset.yaml", "applicationset-input.yaml", "applicationset-selector.yaml")
    )

    asked = by_input["spec"]["generators"][0]["plugin"].pop("input")
    selected = by_selector["spec"]["generators"][0].pop("selector")

    assert asked == {"parameters": {"status": "active"}}
    assert selected == {"matchExpressions": [{"key": "status", "operator": "In", "values": ["active"]}]}
    assert plain == by_input == by_selector


def test_the_application_set_names_applications_as_the_tutorial_does() -> None:
    (found,) = documents(TUTORIAL / "applicationset.yaml")
    template = found["spec"]["template"]
    source = template["spec"]["source"]

    name = 'foobar-app-{{ .tenant | lower | replace "_" "-" | trunc 53 }}'
    assert found["spec"]["goTemplate"] is True
    assert template["metadata"] == {"name": name, "labels": {"org": "{{ .tenant }}"}}
    assert (source["chart"], source["targetRevision"]) == ("podinfo", "6.7.0")
    assert source["helm"]["parameters"] == [{"name": "fullnameOverride", "value": name}]


# --- the image ---------------------------------------------------------------------------------------------------


def instructions() -> list[str]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_the_image_starts_tenantry_as_nobody_on_its_port() -> None:
    final = instructions()[max(n for n, line in enumerate(instructions()) if line.startswith("FROM ")) :]

    assert "USER 65532:65532" in final
    assert "EXPOSE 4355" in final
    assert 'VOLUME ["/var/lib/tenantry"]' in final
    assert final[-2:] == ['ENTRYPOINT ["tenantry"]', 'CMD ["serve"]']


def test_the_pod_runs_as_the_user_of_the_image() -> None:
    pod = pod_of(plugin())["securityContext"]
    mounts = [mount["mountPath"] for mount in container_of(plugin())["volumeMounts"]]

    assert (pod["runAsUser"], pod["runAsGroup"]) == (65532, 65532)
    assert "/var/lib/tenantry" in mounts


def test_the_image_has_the_version_of_the_package() -> None:
    version = tenantry.__version__
    labels = next(line for line in instructions() if line.startswith("LABEL "))

    assert f'org.opencontainers.image.version="{version}"' in labels
    assert container_of(plugin())["image"] == f"tenantry:{version}"


def test_nothing_from_the_network_enters_the_image_without_its_hash() -> None:
    installs = [part for line in instructions() for part in line.split("&&") if " install " in part and "pip" in part]

    assert len(installs) == 3
    assert all("--require-hashes" in part or "--no-index" in part for part in installs)


def test_both_stages_start_from_one_pinned_base() -> None:
    bases = {line.split()[1] for line in instructions() if line.startswith("FROM ")}

    assert bases == {"python:3.11-slim-bookworm"}


def test_whatever_the_image_copies_is_in_the_build_context() -> None:
    copied = [
        source
        for line in instructions()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    allowed = {
        found.relative_to(ROOT)
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
        for found in ROOT.glob(line[1:])
    }

    assert copied
    assert {Path(source) for source in copied} <= allowed
