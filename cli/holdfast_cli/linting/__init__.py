"""What is wrong with manifests, told before anybody applies them: by the rules of the API server and of the operator.

Owns findings, their forms for people and machines, and the few rules that only a reader of files needs. All other rules are
`holdfast.api`'s and the operator's, asked here. Neighbours: `manifests` reads, `rehearsal` asks the operator's plan.
"""
