"""The rights that tenantry needs, as manifests: to change one annotation of ApplicationSets, and to see Applications.

RBAC cannot tell one change of an object from another, so an admission policy does: without it whoever may set the
annotation may change `spec`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tenantry.core.live import REFRESH

_GROUP = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io/v1"
_VERBS = ["get", "list", "watch", "patch"]
_IS_THE_SAME = "variables.before[one] == variables.after[one]"
_REASON = f"tenantry may change the annotation {REFRESH} of an ApplicationSet, and nothing else."

Document = dict[str, object]


def rights(name: str, namespace: str, namespaces: Sequence[str]) -> list[Document]:
    """Return the manifests that let a ServiceAccount see the ApplicationSets of `namespaces` and refresh them.

    The account, `name` in `namespace`, is among them. For `*` they let it do so in every namespace.
    """
    account: Document = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta(name, namespace)}
    return [account, *_roles(name, namespace, namespaces), *_policy(name, namespace)]


def _roles(name: str, namespace: str, namespaces: Sequence[str]) -> Iterator[Document]:
    rules = [
        {"apiGroups": ["argoproj.io"], "resources": ["applicationsets"], "verbs": _VERBS},
        {"apiGroups": ["argoproj.io"], "resources": ["applications"], "verbs": ["list", "watch"]},
    ]
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]
    everywhere = "*" in namespaces
    kind = "ClusterRole" if everywhere else "Role"
    for where in [None] if everywhere else namespaces:
        own = name if where is not None else f"{namespace}-{name}"
        yield {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": _meta(own, where), "rules": rules}
        yield {
            "apiVersion": f"{_GROUP}/v1",
            "kind": f"{kind}Binding",
            "metadata": _meta(own, where),
            "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": own},
            "subjects": subjects,
        }


def _policy(name: str, namespace: str) -> Iterator[Document]:
    own = f"{namespace}-{name}-refreshes-only"
    user = f"system:serviceaccount:{namespace}:{name}"
    same = [
        "object.spec == oldObject.spec",
        *(
            f"object.metadata.?{field}.orValue({empty}) == oldObject.metadata.?{field}.orValue({empty})"
            for field, empty in (("labels", "{}"), ("finalizers", "[]"), ("ownerReferences", "[]"))
        ),
        f"variables.after.all(one, one == '{REFRESH}' || (one in variables.before && {_IS_THE_SAME}))",
        f"variables.before.all(one, one == '{REFRESH}' || one in variables.after)",
    ]
    yield {
        "apiVersion": _ADMISSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": _meta(own, None),
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["argoproj.io"],
                        "apiVersions": ["*"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["applicationsets", "applicationsets/*"],
                    }
                ]
            },
            "matchConditions": [{"name": "is-tenantry", "expression": f"request.userInfo.username == '{user}'"}],
            "variables": [
                {"name": "before", "expression": "oldObject.metadata.?annotations.orValue({})"},
                {"name": "after", "expression": "object.metadata.?annotations.orValue({})"},
            ],
            "validations": [
                {"expression": "request.operation == 'UPDATE'", "message": _REASON},
                *({"expression": f"request.operation != 'UPDATE' || ({one})", "message": _REASON} for one in same),
            ],
        },
    }
    yield {
        "apiVersion": _ADMISSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": _meta(own, None),
        "spec": {"policyName": own, "validationActions": ["Deny"]},
    }


def _meta(name: str, namespace: str | None) -> Document:
    return {"name": name} if namespace is None else {"name": name, "namespace": namespace}
