"""`holdfast inspect`: explains tokens and certificates, and whether they belong together.

Owns the command and what is printed. Neighbours: `explanation` reads.
"""

import json

import click

from holdfast.clock import system_clock
from holdfast_cli.explanation import Explained, ExplanationError, binding, explain
from holdfast_cli.failure import REFUSED, Failure, say
from holdfast_cli.input import read_input
from holdfast_cli.terminal import visible


@click.command(name="inspect")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one member for each input.")
def command(files: tuple[str, ...], as_json: bool) -> None:
    """Explain a token or a certificate: thumbprint, subject fields, times.

    FILE holds a JWT or certificates (PEM or DER); none, or `-`, is the standard input. With a token and a certificate it
    says whether the token is bound to that certificate. Signatures are not checked.

    Exit codes: 0 explained; 1 token and certificate do not belong together; 2 an input cannot be read.
    """
    explained = [_read(file) for file in files or ("-",)]
    tokens = [e for e in explained if e.kind == "token"]
    certificates = [e for e in explained if e.kind == "certificate"]
    verdicts = [binding(token, certificate) for token in tokens for certificate in certificates]
    if as_json:
        bindings = [{"bound": v.bound, "message": v.message} for v in verdicts]
        say(json.dumps({"inputs": [e.members for e in explained], "bindings": bindings}, indent=2))
    else:
        say("\n\n".join([_text(e) for e in explained] + [visible(v.message) for v in verdicts]))
    if any(not v.bound for v in verdicts):
        click.get_current_context().exit(REFUSED)


def _read(file: str) -> Explained:
    if not file:
        raise Failure("FILE: expected the path of a file, or '-', found ''")
    name, content = read_input(file)
    try:
        return explain(content, name, system_clock())
    except ExplanationError as error:
        raise Failure(f"{name}: {error}") from error


def _text(explained: Explained) -> str:
    members = {visible(member): value for member, value in explained.members.items()}
    width = max(map(len, members))
    lines = [f"{explained.kind} ({visible(explained.source)})"]
    for member, value in members.items():
        for number, entry in enumerate(value if isinstance(value, list) else [value]):
            lines.append(f"  {(member if number == 0 else '').ljust(width)}  {visible(str(entry))}")
    return "\n".join(lines)
