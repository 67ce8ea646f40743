"""Who may have what signed by the platform's issuers: CertificateRequests are approved or denied here.

Owns the rule that nobody gets another's identity. `judge` decides, purely, from `request` (what is asked of cert-manager),
`signing_request` (what the CSR really says) and `claim` (what an accepted OAuthClient may have besides its SPIFFE ID);
`approver` reads, writes and counts. Must not know kopf. Neighbour: `reconcile`, whose judgement of clients is used as it is.
"""
