"""Holdfast: certificate-bound OAuth access tokens (RFC 8705) for workloads.

Owns what every process must agree on and what applications import. Knows neither kopf nor a Kubernetes client.
The layers, each importing only those to its right:

    api | client | resource_server | registry  ->  policy  ->  oauth  ->  x509
"""

__version__ = "0.1.0.dev0"
