"""Policy: what the platform allows a client to be and to do.

Owns the merge of many policies into one (`resolve`), every judgement (`evaluate`), and which single policy a client
breaks (`attribution`). A "no" is a `Decision` with a reason, an exception means "could not decide". Pure: no I/O, no
clock of its own, no Kubernetes.
Neighbours: `holdfast.oauth` below; the operator computes the effective policy, the server enforces it.
"""
