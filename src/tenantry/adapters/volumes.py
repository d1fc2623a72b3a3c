"""What a directory lies on: a container's own file system goes with the container."""

from __future__ import annotations

import re
from pathlib import Path

_EMPTY_DIR = "/volumes/kubernetes.io~empty-dir/"
"""In the path that kubelet mounts for a volume which goes with its pod."""

_PASSING = ("emptyDir", "overlay", "aufs", "tmpfs", "ramfs", "devtmpfs")
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def passing_volume(directory: Path, mounts: Path = _MOUNTS) -> str:
    """Return the kind of file system that a directory is on, if it goes with the container or the machine's power.

    Empty where it stays, or where that cannot be told (proc_pid_mountinfo(5)).
    """
    place = str(directory.absolute().resolve())
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    longest, kind = "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[4])
        kind_here = "emptyDir" if _EMPTY_DIR in fields[3] else after.split()[0]
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        # Of two mounts at one place the later covers the earlier.
        if inside and len(point) >= len(longest):
            longest, kind = point, kind_here
    return kind if kind in _PASSING else ""
