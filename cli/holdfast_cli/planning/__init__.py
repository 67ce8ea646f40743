"""What would change if manifests were applied: to the objects, and by the operator to certificates and registrations.

Owns the comparison of two worlds, the one that is there and the one with the manifests in it. The operator's own plan is
asked in both; nothing is written. Neighbours: `manifests` reads files, `places` opens the other side, `rehearsal` imagines.
"""
