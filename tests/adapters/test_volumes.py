"""Which file systems go with their container, pod or machine, as `/proc/self/mountinfo` tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantry.adapters.volumes import passing_volume

MOUNTS = r"""22 28 0:20 / / rw,relatime - overlay overlay rw,lowerdir=/a
30 22 8:1 / /var/lib/tenantry rw,relatime shared:1 - ext4 /dev/sda1 rw
31 22 8:1 /var/lib/kubelet/pods/1-2/volumes/kubernetes.io~empty-dir/data /data rw,relatime - ext4 /dev/sda1 rw
32 22 0:30 / /run rw,nosuid - tmpfs tmpfs rw
33 22 8:2 / /with\040space rw,relatime - xfs /dev/sdb1 rw
34 22 8:3 / /over rw,relatime - ext4 /dev/sdc1 rw
35 22 0:31 / /over rw,relatime - tmpfs tmpfs rw
broken line
"""


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/srv/state", "overlay"),
        ("/var/lib/tenantry", ""),
        ("/var/lib/tenantry/below/it", ""),
        ("/var/lib/tenantry-other", "overlay"),
        ("/data/tenantry-state.db", "emptyDir"),
        ("/run/tenantry", "tmpfs"),
        ("/with space/state", ""),
        ("/over/state", "tmpfs"),
    ],
)
def test_a_volume_is_told_by_the_mount_that_covers_the_directory_last(
    tmp_path: Path, directory: str, kind: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)

    assert passing_volume(Path(directory), mounts) == kind


def test_where_mounts_cannot_be_read_nothing_is_told(tmp_path: Path) -> None:
    assert passing_volume(tmp_path, tmp_path / "none") == ""
