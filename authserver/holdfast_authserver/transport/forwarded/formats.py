"""The table of formats: name of the setting's value, fields that carry it, parser.

Exactly one is configured, and no other is ever tried. Neighbours: each parser is a module of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from holdfast.x509.certificate import Certificate, CertificateError
from holdfast_authserver.transport.forwarded import alb, rfc9440, traefik, xfcc
from holdfast_authserver.transport.forwarded.fields import Headers, SelectedFields, select_fields
from holdfast_authserver.transport.forwarded.malformed_field import MalformedField
from holdfast_authserver.transport.forwarded.nginx import read_nginx
from holdfast_authserver.transport.presented import PresentedChain


class FormatName(StrEnum):
    """What a terminator may speak."""

    RFC9440 = "RFC9440"
    XFCC = "XFCC"
    NGINX_ESCAPED_PEM = "NginxEscapedPEM"
    TRAEFIK_PEM = "TraefikPEM"
    ALB_LEAF = "ALBLeaf"


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `fields`: names in lower case, the leaf's first. `lists`: those that may come in several lines.

    `read`: from the fields that are there and not empty to DER, leaf first; nothing when there is no certificate.
    """

    name: FormatName
    fields: tuple[str, ...]
    read: Callable[[Mapping[str, str]], tuple[bytes, ...]]
    lists: frozenset[str] = frozenset()

    def select(self, headers: Headers) -> SelectedFields:
        """The fields of this format in a request. Raises MalformedField."""
        return select_fields(headers, {name.encode(): name for name in self.fields}, self.lists)

    def chain(self, values: Mapping[str, str]) -> PresentedChain | None:
        """The certificates, each of which can be read; None: the peer of the terminator had none. Raises MalformedField."""
        ders = self.read(values)
        for position, der in enumerate(ders):
            try:
                Certificate.from_der(der)
            except CertificateError as error:
                raise MalformedField(
                    f"{self.name}: certificate {position + 1} of {len(ders)}: {str(error)[:200]}"
                ) from error
        return PresentedChain(ders) if ders else None


def make_format(
    name: FormatName, *, hops: int = 1, leaf_field: str = "ssl-client-cert", chain_field: str | None = None
) -> Format:
    """`hops`: trusted proxies that each add an XFCC element. `leaf_field`, `chain_field`: of NginxEscapedPEM."""
    match name:
        case FormatName.RFC9440:
            chain = rfc9440.CHAIN  # the one field that RFC 9440 lets come in several lines (section 2.3)
            return Format(name, (rfc9440.LEAF, chain), rfc9440.read_rfc9440, frozenset({chain}))
        case FormatName.XFCC:
            return Format(name, (xfcc.FIELD,), partial(xfcc.read_xfcc, hops=hops))
        case FormatName.NGINX_ESCAPED_PEM:
            leaf_field, chain_field = leaf_field.lower(), chain_field.lower() if chain_field else None
            fields = (leaf_field,) if chain_field is None else (leaf_field, chain_field)
            return Format(name, fields, partial(read_nginx, leaf=leaf_field, chain=chain_field))
        case FormatName.TRAEFIK_PEM:
            return Format(name, (traefik.FIELD,), traefik.read_traefik)
        case FormatName.ALB_LEAF:
            return Format(name, (alb.FIELD,), alb.read_alb)
