"""Clients of another authorization server as OAuthClient manifests, and a report of all that has no place there.

Owns what each foreign field means here. Nothing is guessed: what cannot be said exactly is left out and told, secrets are
never carried, and a manifest that the API server would refuse is not written. A format is a module beside `keycloak`.
"""
