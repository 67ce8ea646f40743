"""What is served over HTTP: one file for each endpoint, and the shared way in and out.

Owns paths, methods, bodies and the one writer of errors. Each endpoint is a list of named steps over values; what it
needs from the rest of the server stands in `context.py`. Must not parse certificates or decide a policy.
"""
