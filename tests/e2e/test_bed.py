"""The bed itself: it starts, it ends whatever happens to its owner, it is built once, and its failures can be read."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from lightkube import ApiError, Client, KubeConfig
from lightkube.resources.core_v1 import Secret

from tests.e2e import tutorial
from tests.e2e.argocd import NAME, ApplicationSet, ArgoCD, NotSoon
from tests.e2e.bed import Bed
from tests.e2e.build import SOURCES, BuildFailed, NotBuilt, build, built, digest
from tests.support.service import ROOT
from tests.support.waiting import eventually


def runs(pid: int) -> bool:
    """Tell whether a process runs. One that ended and that nobody asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@contextmanager
def owner() -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run a process that owns a bed, and return what it started."""
    command = [sys.executable, "-m", "tests.e2e.owner"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a copy of the sources of the cluster's programs, to change."""
    return Path(shutil.copytree(SOURCES, tmp_path / "controller"))


def test_the_controller_has_the_rights_of_argo_cds_own_manifests(argocd: ArgoCD, kubeconfig: Path) -> None:
    config = KubeConfig.from_file(kubeconfig)
    config.users["e2e"].token = argocd.token(NAME)
    with closing(Client(config, namespace=argocd.namespace)) as controller:
        assert list(controller.list(ApplicationSet)) == []
        assert controller.get(Secret, "argocd-secret").metadata
        with pytest.raises(ApiError, match="forbidden"):
            controller.delete(Secret, "argocd-secret")
        with pytest.raises(ApiError, match="forbidden"):
            controller.get(Secret, "any", namespace="default")


def test_the_controller_can_be_restarted_alone(argocd: ArgoCD) -> None:
    first = argocd.pid

    argocd.stop()
    assert not runs(first)
    argocd.start()

    assert argocd.pid != first
    assert runs(argocd.pid)


@pytest.mark.parametrize(
    "how",
    [None, signal.SIGINT, signal.SIGTERM, signal.SIGKILL],
    ids=["that stops it", "interrupted", "terminated", "killed"],
)
def test_every_process_ends_with_its_owner(how: signal.Signals | None) -> None:
    with owner() as (process, started):
        assert len(started["pids"]) == 3
        assert all(map(runs, started["pids"]))

        if how is None:
            process.communicate()
        else:
            process.send_signal(how)

        process.wait(30)
        eventually(lambda: not any(map(runs, started["pids"])), within=30, what="The end of all processes")
    Bed().stop()
    assert not Path(started["folder"]).exists()


def test_what_was_built_is_not_built_again_not_even_in_another_clone(sources: Path) -> None:
    programs = built()
    before = programs.binary.stat()

    said = subprocess.run(
        [sys.executable, "-m", "tests.e2e.build"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    elsewhere = build(sources)

    assert (said.stdout, said.stderr) == ("", "")
    assert elsewhere == programs
    assert programs.binary.stat() == before


def test_other_sources_are_not_built_and_the_command_that_builds_them_is_told(sources: Path) -> None:
    with (sources / "go.mod").open("a") as requirements:
        requirements.write("// another version\n")

    with pytest.raises(NotBuilt, match="make e2e-build"):
        built(sources)


@pytest.mark.parametrize(("hours", "kept"), [(23, {"workshop"}), (25, set())])
def test_what_only_serves_to_build_is_kept_for_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int, kept: set[str]
) -> None:
    monkeypatch.setenv("E2E_CACHE", str(tmp_path))
    used = digest(SOURCES)
    for age, name in enumerate([used, "older", "oldest", "forgotten"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cluster").touch()
        when = time.time() - 3600 * (hours + age)
        os.utime(tmp_path / name / "cluster", (when, when))
    (tmp_path / "workshop").mkdir()

    build()

    assert {path.name for path in tmp_path.iterdir()} == {used, "older", "oldest", "lock", *kept}


def test_a_failing_build_says_why(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2E_CACHE", str(tmp_path / "cache"))
    (sources / "go.lock").write_text("this is no requirement\n")

    with pytest.raises(BuildFailed) as failure:
        build(sources)

    assert "Fetching Go failed. The whole log: " in str(failure.value)
    assert "this is no requirement" in str(failure.value)


def test_a_bed_that_does_not_start_says_why() -> None:
    bed = Bed()
    (bed.folder / "etcd").write_text("a file where etcd wants its folder")

    with pytest.raises(RuntimeError, match="a process ended") as failure:
        bed.start()

    assert "etcd.log" in failure.value.__notes__[0]
    assert not bed.folder.exists()


def test_a_failing_wait_shows_the_log_and_what_the_application_set_says(argocd: ArgoCD) -> None:
    argocd.apply(tutorial.application_set())
    argocd.eventually(lambda: argocd.conditions(tutorial.NAME)["ErrorOccurred"]["status"] == "True")

    with pytest.raises(NotSoon) as failure:
        argocd.eventually(argocd.applications, within=0.1, what="An Application")

    assert "An Application did not come within 0.1 s" in str(failure.value)
    assert f"ApplicationSet {tutorial.NAME}:\n  ErrorOccurred=True" in str(failure.value)
    assert '): error getting plugin from generator: error fetching ConfigMap: ConfigMap "tenant-' in str(failure.value)
    assert f"The controller's log ({argocd.log}), last lines:\n  time=" in str(failure.value)
