"""Manifests as people and pipelines hand them over: files, folders, standard input; each value with its line.

Owns reading and telling where something stands. Must not judge an object: `linting` and `planning` do.
"""
