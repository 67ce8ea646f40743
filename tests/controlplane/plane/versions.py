"""Which versions the control plane is built from: the one place to raise them."""

GO = "1.26"
KUBERNETES = "1.36.4"
ETCD = "v3.6.14"
CERT_MANAGER = "v1.21.2"
HELM = "v4.3.1"

KUBERNETES_STAGING = "v0." + KUBERNETES.split(".", 1)[1]
"""The version of the published `k8s.io/*` modules that belongs to that Kubernetes."""
