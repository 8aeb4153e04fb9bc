"""What NetworkPolicies allow, decided as Kubernetes decides it, for pods of one namespace."""

from collections.abc import Sequence
from typing import Any

Labels = dict[str, str]
Document = dict[str, Any]


def selects(selector: Document, labels: Labels) -> bool:
    """Label selectors: all of matchLabels and matchExpressions; an empty one selects all."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for each in selector.get("matchExpressions", ()):
        value, values = labels.get(each["key"]), each.get("values", ())
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[each["operator"]]
        if not holds:
            return False
    return True


def allowed(policies: Sequence[Document], source: Labels, target: Labels, port: int) -> bool:
    """Whether a pod may connect to another: its egress and the other's ingress both say so."""
    return _side(policies, source, target, port, "Egress") and _side(
        policies, target, source, port, "Ingress"
    )


def _side(
    policies: Sequence[Document], pod: Labels, peer: Labels, port: int, direction: str
) -> bool:
    mine = [
        policy["spec"]
        for policy in policies
        if selects(policy["spec"]["podSelector"], pod)
        and direction in policy["spec"]["policyTypes"]
    ]
    if not mine:
        return True
    rules = [rule for spec in mine for rule in spec.get(direction.lower(), ())]
    return any(
        _matches(rule, peer, port, "to" if direction == "Egress" else "from") for rule in rules
    )


def _matches(rule: Document, peer: Labels, port: int, key: str) -> bool:
    ports = rule.get("ports")
    if ports and not any(each["port"] == port for each in ports):
        return False
    peers = rule.get(key)
    return peers is None or any(_is(each, peer) for each in peers)


def _is(peer: Document, labels: Labels) -> bool:
    """A peer within the namespace; other namespaces and address ranges are no pods of ours."""
    if "namespaceSelector" in peer or "ipBlock" in peer:
        return False
    return selects(peer["podSelector"], labels)
