"""What keeps reconciling going: queue, workers, fan-out, resync, watch on the registry, Lease.

Owns when a key is looked at, never what is decided about it. Must not import kopf or a Kubernetes client: the shell
feeds it, `adapters` give it stores. Neighbours: `reconcile` below, `shell` and `main` above.
"""
