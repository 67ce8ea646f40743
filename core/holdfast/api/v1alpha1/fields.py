"""Limits of single values: names, URIs, scopes, durations, as annotated types that several fields share.

Every string has a maximum length and every list a maximum size: the API server estimates the cost of a CEL rule from
them and refuses a CRD whose rules could cost too much.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from holdfast.api.v1alpha1.base import rule, rules

_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"

Name = Annotated[str, Field(min_length=1, max_length=253, pattern=rf"^{_LABEL}(\.{_LABEL})*$")]
"""Name of a Kubernetes object (RFC 1123 subdomain)."""
Label = Annotated[str, Field(min_length=1, max_length=63, pattern=rf"^{_LABEL}$")]
"""Name of a namespace (RFC 1123 label)."""

DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
Duration = Annotated[str, Field(min_length=2, max_length=28, pattern=DURATION_PATTERN)]
"""Such as `24h`, `90m`, `1h30m`."""


def duration_rule(field: str, comparison: str, message: str) -> Mapping[str, str]:
    """A rule on an optional duration, silent where its form is wrong: the pattern has then said so already."""
    return rule(f"!has({field}) || !{field}.matches('{DURATION_PATTERN}') || duration({field}) {comparison}", message)


ClientId = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._:~-]*[A-Za-z0-9])?$")]
Scope = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        json_schema_extra=rules(
            rule(
                r"self.matches('^[!#-\\[\\]-~]+$')",
                "a scope is printable ASCII without space, double quote or backslash (RFC 6749 section 3.3)",
            )
        ),
    ),
]

_HOST = r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\\[[0-9a-f:.]+\\])"
HttpsUri = Annotated[
    str,
    Field(
        min_length=1,
        max_length=512,
        json_schema_extra=rules(
            rule(
                rf"""self.matches('^https://{_HOST}(:[0-9]{{1,5}})?([/?][!-"$-~]*)?$')""",
                "must be an absolute https URI, host in lower case, without user or fragment (RFC 8707 section 2)",
            )
        ),
    ),
]
HttpsUriPattern = Annotated[
    str,
    Field(
        min_length=1,
        max_length=512,
        json_schema_extra=rules(
            rule(
                r"""self.matches('^https://[!-"$-~]+$')""",
                "must be an https URI without fragment; * may stand for a whole label of the host or segment of the path",
            )
        ),
    ),
]

Thumbprint = Annotated[str, Field(max_length=43)]
"""base64url of SHA-256, without padding (RFC 8705 section 3.1)."""
WrittenThumbprint = Annotated[str, Field(min_length=43, max_length=43, pattern=r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]
"""The same where people write it: 256 bits leave the last character two that must be zero, else it could match nothing."""

ConfigMapKeyName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
"""A key of a ConfigMap."""
