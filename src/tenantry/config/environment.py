"""The environment: a variable for every setting, and none of ours that is not understood."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tenantry.config.file import CONFIG_VARIABLE
from tenantry.config.reading import Reading, items
from tenantry.config.table import SETTINGS
from tenantry.config.wording import every, printable
from tenantry.core.errors import nearest

_BY_ENV = {setting.env: setting for setting in SETTINGS}
_VARIABLES = (*_BY_ENV, CONFIG_VARIABLE)

# What Kubernetes injects for each Service of the namespace (`pkg/kubelet/envvars`): one called `tenantry` gives
# TENANTRY_PORT=tcp://…, one called `db` DB_PORT=tcp://…. A name that ends in _PORT alone is a link by its value only.
_LINK_NAME = re.compile(
    r"TENANTRY_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)"
)
_LINK_VALUE = re.compile(r"\s*(tcp|udp|sctp)://\S*\s*")


def variables_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are set: an empty one is not, nor is a service link of Kubernetes."""
    return {name: value for name, value in environ.items() if not _is_left_out(name, value)}


def _is_left_out(name: str, value: str) -> bool:
    """Tell whether a variable is empty or a service link; a password or token is never taken for one."""
    if name in ("DB_PASSWORD", "AUTH_TOKEN", "TENANTRY_ADMIN_TOKEN"):
        return not value
    return not value.strip() or bool(_LINK_NAME.fullmatch(name) or _LINK_VALUE.fullmatch(value))


def take_environment(reading: Reading, variables: Mapping[str, str]) -> None:
    """Take every setting of the environment, and refuse every variable that looks like one and is none."""
    for name, value in sorted(variables.items()):
        setting = _BY_ENV.get(name)
        if setting is None:
            if name.startswith("TENANTRY_") and name != CONFIG_VARIABLE:
                reading.problems.append(f"environment {printable(name)}: {_unknown_variable(name)}")
        elif value.strip():
            given = items(value) if setting.kind.many else [value.strip()]
            reading.put(setting, given, f"environment {name}")


def _unknown_variable(name: str) -> str:
    if name == "TENANTRY_TOKENS_VALUE":
        return "the token's variable is AUTH_TOKEN."
    return f"is not a setting. Known: {every(_VARIABLES)}.{nearest(name, _VARIABLES)}"
