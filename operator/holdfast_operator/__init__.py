"""The operator: reconciles OAuthClient and MTLSPolicy objects into the registry. Only shell.py knows kopf."""
