"""Feeds each parser of `targets.py` with bytes that atheris finds by watching which code they reach.

    python -m fuzz.run [--seconds N] [TARGET]...

Each target runs in a process of its own, for that long; what it learned stays in .fuzz/TARGET for the next run, and what
broke it lies there as crash-*. Exit code 1 when one broke.
"""

import argparse
import subprocess
import sys
from pathlib import Path

CORPUS = Path(".fuzz")
_MAX_INPUT = 8192  # bytes; parsers have limits of their own, most far below
_ONE_INPUT = 10  # seconds for one input: more is a hang


def main() -> int:
    """Run every target that is named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    options = parser.parse_args()
    if options.inside:
        _feed(options.targets[0], options.seconds)  # atheris ends the process
    from fuzz.targets import TARGETS

    broken = [name for name in options.targets or TARGETS if _run(name, options.seconds) != 0]
    print(f"broken: {', '.join(broken) or 'none'}")
    return 1 if broken else 0


def _run(name: str, seconds: int) -> int:
    print(f"==> {name}", flush=True)
    command = [sys.executable, "-m", "fuzz.run", "--inside", "--seconds", str(seconds), name]
    return subprocess.run(command, check=False).returncode


def _feed(name: str, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["holdfast", "holdfast_authserver", "fuzz"]):
        from fuzz.targets import SEEDS, TARGETS
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS.get(name, ())):
        (folder / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", f"-max_len={_MAX_INPUT}", f"-timeout={_ONE_INPUT}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={folder}/", str(folder)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
