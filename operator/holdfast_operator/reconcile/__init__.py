"""Reconcile: what should be written, given all that was seen. Values in, values out; no I/O, no clock, no waiting.

Knows neither kopf nor a Kubernetes client: objects are plain dicts, and the places they live in are ports, named here
for everybody. Neighbours: `converge` observes and carries out.
"""
