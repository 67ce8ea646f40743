"""What the operator would say and do, tried on objects that are only declared: its own plan, over a world that is imagined.

Owns putting such a world together. Has no rule of its own, and writes nothing: it is given the reading half of the ports.
Neighbours: `linting` and `planning` ask; `holdfast_operator.reconcile.plan` answers.
"""
