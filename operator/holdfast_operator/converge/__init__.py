"""Converge: observe, plan, carry out one action, plan again, until nothing is left to do.

Owns every read and write that a plan needs or asks for, through ports. Decides nothing: `reconcile` does, and imports
nothing from here. Neighbours: `engine` calls it with keys, `adapters` implement its ports.
"""
