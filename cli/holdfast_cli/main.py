"""The `holdfast` command."""


def main() -> None:
    raise SystemExit("holdfast: no command is installed yet")
