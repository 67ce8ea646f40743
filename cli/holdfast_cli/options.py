"""What the options of several commands hold, read in one way.

Owns the form of `[KIND/]NAME` of an issuer. Neighbours: `export`, `import_clients`.
"""

from holdfast_cli.failure import Failure

ISSUER_KINDS = ("ClusterIssuer", "Issuer")


def issuer_of(text: str | None) -> tuple[str, str] | None:
    """Kind, a ClusterIssuer's where none is named, and name. Raises Failure."""
    if text is None:
        return None
    kind, slash, name = text.rpartition("/")
    if slash and kind not in ISSUER_KINDS:
        raise Failure(f"--issuer: expected {' or '.join(ISSUER_KINDS)} before the /, found {kind!r}")
    return kind or ISSUER_KINDS[0], name
