"""What the operator keeps of an object in memory."""

from holdfast_operator.converge.shelf import _essence
from holdfast_operator.reconcile.ports import Kind


def test_annotations_that_nobody_here_reads_are_not_kept() -> None:
    """A tenant may write a quarter of a megabyte of them on each object."""
    written = {"team/notes": "x" * 250_000, "cert-manager.io/certificate-name": "orders"}
    metadata = {"name": "orders", "namespace": "shop", "annotations": written, "managedFields": [{}]}
    kept = _essence({"metadata": metadata, "spec": {}}, Kind.CERTIFICATE_REQUEST)
    assert kept["metadata"] == {
        "name": "orders", "namespace": "shop", "annotations": {"cert-manager.io/certificate-name": "orders"},
    }  # fmt: skip
