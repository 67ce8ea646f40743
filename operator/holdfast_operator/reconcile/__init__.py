"""Reconcile: observe, plan, execute.

Owns the pure `plan` (what should be written, given all that was seen) and the executor that writes it through ports.
Knows neither kopf nor a Kubernetes client: objects are plain dicts, the places they live in are ports.
Neighbours: `engine` calls it with keys, `adapters` implement its ports, `shell` wires them up.
"""
