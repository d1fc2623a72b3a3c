"""Durations and sizes: how they are written, and how they are shown."""

from __future__ import annotations

import re
from datetime import timedelta

from tenantry.config.wording import told

S = timedelta(seconds=1)
_UNITS = {"d": 86400 * S, "h": 3600 * S, "m": 60 * S, "s": S, "ms": S / 1000}
_SIZES = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10}
_DURATION = re.compile(r"([0-9]{1,9}|[0-9]{10,12}(?=ms))(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,12})(KiB|MiB|GiB|)")


def parse_duration(text: str) -> timedelta:
    """Read `250ms`, `2s`, `5m`, `1h` or `7d`."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(f"{told(text)} is no duration: write a number and its unit (ms, s, m, h, d), such as 250ms.")
    return int(found[1]) * _UNITS[found[2]]


def show_duration(duration: timedelta) -> str:
    """Write a duration in the largest unit that keeps it whole."""
    unit = next((name for name, size in _UNITS.items() if duration and not duration % size), "s")
    return f"{duration // _UNITS[unit]}{unit}"


def parse_size(text: str) -> int:
    """Read `1048576`, `512KiB` or `1MiB` as bytes."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError(f"{told(text)} is no size: write bytes such as 1048576, or 512KiB, or 1MiB.")
    return int(found[1]) * _SIZES.get(found[2], 1)


def show_size(size: int) -> str:
    """Write a number of bytes in the largest unit that keeps it whole."""
    return next((f"{size // unit}{name}" for name, unit in _SIZES.items() if size and not size % unit), str(size))
