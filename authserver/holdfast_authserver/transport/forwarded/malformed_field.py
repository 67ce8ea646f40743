"""What is wrong with a certificate header. Every parser of this package raises this and nothing else."""


class MalformedField(ValueError):
    """The value is not in the one format that is configured; names field, expected and actual, for the log."""
