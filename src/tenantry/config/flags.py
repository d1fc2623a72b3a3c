"""Flags: by the key of their setting, as the command line hands them in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tenantry.config.addresses import has_password
from tenantry.config.reading import Reading, items
from tenantry.config.table import BY_KEY
from tenantry.config.wording import printable, unknown


def take_flags(reading: Reading, flags: Mapping[str, str | Sequence[str]]) -> None:
    """Take every setting that was given as a flag."""
    for key, value in flags.items():
        origin = f"flag --{printable(re.sub('[._]', '-', key))}"
        setting = BY_KEY.get(key)
        given = [value] if isinstance(value, str) else list(value)
        if setting is None:
            reading.problems.append(f"{origin}: {unknown(key, 'setting', BY_KEY)}")
        elif setting.flag is None:
            reading.refuse_in_the_open(setting, origin)
        elif setting.kind.many:
            reading.put(setting, [part for text in given for part in items(text)], origin)
        elif len(given) != 1:
            reading.refuse(setting, origin, "It takes one value.")
        elif setting.secret and has_password(given[0]):
            why = f"A password in a flag stands in the list of processes: give it as {setting.env} or in the file."
            reading.refuse(setting, origin, why)
        else:
            reading.put(setting, given, origin)
