"""A folder of YAML in the place of the API server, and a local CA in the place of cert-manager.

Owns what `holdfast dev` needs so that the same reconcile runs without a cluster: documents become objects, planned
Certificates become files as a mounted Secret would have them. Judges no OAuthClient or MTLSPolicy itself: the generated
CRDs do (`holdfast.api`). Never reads a cluster. Neighbours: `reconcile.ports`, whose `Cluster` it implements.

    yaml_text -> documents -> objects (stored) <- issuance -> authority, secret_files;  cluster joins them
"""
