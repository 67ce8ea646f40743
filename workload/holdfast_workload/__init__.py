"""The workload side: agent and verifier."""
