"""One server as several processes: a small parent, and workers that each serve every listener on ports of their own right.

Owns starting, watching, ending and restarting workers, and the ops listener that speaks for all of them. The parent
serves no request of a client and opens no registry. Neighbours: `server.py` is what a worker runs.
"""
