"""One thing to be said of a manifest: the rule, the place, the object, the field, and what to change.

Owns the value and the closed set of rules that no condition has a reason for. The rules of conditions keep their reason as
id, so that a pipeline and `kubectl get` say the same word. Neighbours: `text`, `sarif` print.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.explained import Explained
from holdfast_cli.manifests.documents import Place


class Level(StrEnum):
    """An error would be refused; a warning is allowed and seldom meant; a note says what could not be judged."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class OwnRule(Explained):
    """Rules beside the reasons of conditions."""

    UNREADABLE_DOCUMENT = "UnreadableDocument", "A document is no YAML, or no object of a kind and version that exists."
    INVALID_OBJECT = (
        "InvalidObject",
        "The API server refuses the object: a limit, an unknown field, or a rule of the schema.",
    )
    DUPLICATE_OBJECT = "DuplicateObject", "Two documents declare the same object; the one that is applied last wins."
    PRIVATE_KEY_IN_CONFIG_MAP = "PrivateKeyInConfigMap", "A ConfigMap holds a private key, which everybody there can read."
    CLIENT_SELECTOR_ALONE = (
        "ClientSelectorAlone",
        "A policy selects by labels of clients alone, which the tenant whom it rules writes.",
    )
    MAY_BE_REFUSED = "MayBeRefused", "Admission would warn: the cluster, or a policy in Warn, may say no."
    NOT_AMONG_THE_FILES = "NotAmongTheFiles", "A judgement needs an object that no file declares, and was left out."


Rule = OwnRule | Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`object`: such as `OAuthClient shop/orders`, empty where it cannot be told. `field`: its path, empty for the whole."""

    rule: Rule
    level: Level
    place: Place
    object: str
    field: str
    message: str


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each once, as a reader of the files meets them."""
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=lambda f: (f.place.file, f.place.line, f.place.column, f.rule, f.field, f.message)))


def count(findings: Iterable[Finding]) -> Mapping[Level, int]:
    """How many there are of each level."""
    levels = [finding.level for finding in findings]
    return {level: levels.count(level) for level in Level}
