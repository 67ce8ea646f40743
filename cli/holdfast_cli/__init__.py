"""The command line. The only package that may start each of the others."""
