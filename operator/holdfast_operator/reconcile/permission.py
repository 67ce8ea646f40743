"""What a module asks of the API server, declared where the calls are: the chart's roles are made of these alone.

Owns the form. Which there are is said by each module that calls (`PERMISSIONS`); `tools.operator_roles` collects them, and a
test holds them against an audit log.
"""

from dataclasses import dataclass

from holdfast_operator.reconcile.ports import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """`why`: what a reader of the role would otherwise ask. `name`: the setting that says which object alone it is about.

    `only_with`: the setting that has to be there for the calls to be made.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    namespaced: bool
    why: str = ""
    name: str = ""
    only_with: str = ""


def on(kind: Kind, *verbs: str, subresource: str = "", why: str = "", name: str = "", only_with: str = "") -> Permission:
    """On the objects of a kind."""
    resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
    return Permission(
        group=kind.group,
        resource=resource,
        verbs=verbs,
        namespaced=kind.namespaced,
        why=why,
        name=name,
        only_with=only_with,
    )
