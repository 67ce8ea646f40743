"""`holdfast why`: explains a decision of the past by its id, or judges a certificate as the server would.

Owns the command and what is printed. Reads, never writes. Neighbours: `why_decision`, `why_registry`, `why_steps`.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import click

from holdfast.clock import system_clock
from holdfast.x509.certificate import Certificate, CertificateError, load_pem_bundle
from holdfast.x509.explain import Step
from holdfast_cli.failure import REFUSED, UNUSABLE, Failure, say
from holdfast_cli.input import read_input
from holdfast_cli.terminal import visible
from holdfast_cli.why_decision import Told, find, tell
from holdfast_cli.why_registry import StoreUnreadable, read_served
from holdfast_cli.why_steps import accepted, steps

_VERDICTS = {True: "ok", False: "NO", None: "-"}
_ENDS = {True: (0, "accepted"), False: (REFUSED, "refused"), None: (UNUSABLE, "cannot be said from the certificate alone")}


@click.command(name="why")
@click.argument("decision", metavar="[DECISION-ID]", required=False)
@click.option("--audit-log", metavar="FILE", help="The audit log; - is the standard input. Default: DIR/audit.log.")
@click.option("--cert", metavar="FILE", help="The client's certificate, PEM or DER; PEM may hold its chain, too.")
@click.option("--chain", metavar="FILE", help="Further certificates that the client sends (PEM).")
@click.option("--client", "client_id", metavar="ID", help="The client id that the certificate is shown for.")
@click.option("--data", metavar="DIR", default=".holdfast", help="The data folder of holdfast dev. Default: .holdfast.")
@click.option("--database-url", metavar="URL", help="The server's registry, as in HOLDFAST_DATABASE_URL.")
@click.option("--at", metavar="TIME", help="The moment to judge at, such as 2026-01-31T12:00:00Z. Default: now.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    decision: str | None,
    audit_log: str | None,
    cert: str | None,
    chain: str | None,
    client_id: str | None,
    data: str,
    database_url: str | None,
    at: str | None,
    as_json: bool,
) -> None:
    """Explain why a request was answered as it was, or would be.

    DECISION-ID stands in the header holdfast-decision of every answer. With --cert and --client, each rule is shown with
    what it expects and what it sees.

    Exit codes: 0 accepted; 1 refused; 2 it cannot be said.
    """
    if (decision is None) == (cert is None) or (cert is None) != (client_id is None):
        raise Failure("expected either a DECISION-ID, or --cert FILE with --client ID")
    if decision is not None:
        _explain_decision(decision, audit_log or str(Path(data) / "audit.log"), as_json=as_json)
    elif cert is not None and client_id is not None:
        url = database_url or f"sqlite+aiosqlite:///{Path(data) / 'registry.db'}"
        _explain_certificate([cert, *([chain] if chain else [])], client_id, url, _moment(at), as_json=as_json)


def _explain_decision(decision: str, log: str, *, as_json: bool) -> None:
    try:
        with click.open_file(log, "rb") as source:
            lines = find(source, decision)
    except OSError as error:
        raise Failure(f"audit log {log}: cannot be read: {error.strerror}") from error
    if not lines:
        raise Failure(
            f"audit log {log}: holds no decision {decision}; an older one may be in a rotated file, "
            "and one of many refusals may be among those that a line requests.left_out counts"
        )
    told = [tell(line) for line in lines]
    say(json.dumps(lines, indent=2) if as_json else "\n\n".join(map(_decision_text, told)))
    if any(each.refused for each in told):
        click.get_current_context().exit(REFUSED)


def _decision_text(told: Told) -> str:
    width = max((len(name) for name, _ in told.facts), default=0)
    facts = (f"  {visible(name).ljust(width)}  {visible(value)}" for name, value in told.facts)
    return "\n".join([visible(told.summary), *facts])


def _explain_certificate(files: list[str], client_id: str, url: str, at: datetime, *, as_json: bool) -> None:
    ders = [certificate.der for file in files for certificate in _certificates(file)]
    try:
        served = read_served(url, client_id)
    except StoreUnreadable as error:
        raise Failure(str(error)) from error
    found = steps(ders, client_id, served, at)
    code, verdict = _ENDS[accepted(found)]
    if as_json:
        rows = [{"rule": s.rule, "expected": s.expected, "seen": s.seen, "ok": s.ok} for s in found]
        say(json.dumps({"client_id": client_id, "at": at.isoformat(), "verdict": verdict, "steps": rows}, indent=2))
    else:
        say(f"{visible(client_id)} at {at:%Y-%m-%dT%H:%M:%SZ}, registry revision {served.revision}: {verdict}\n")
        say(_table(found))
    if code:
        click.get_current_context().exit(code)


def _table(found: Iterable[Step]) -> str:
    lines = []
    for step in found:
        lines.append(f"{_VERDICTS[step.ok]:<4}{visible(step.rule)}")
        lines.append(f"      expected  {visible(step.expected)}")
        lines.append(f"      seen      {visible(step.seen)}")
    return "\n".join(lines)


def _certificates(file: str) -> tuple[Certificate, ...]:
    name, content = read_input(file)
    try:
        return load_pem_bundle(content) if b"-----BEGIN" in content else (Certificate.from_der(content),)
    except CertificateError as error:
        raise Failure(f"{name}: {error}") from error


def _moment(text: str | None) -> datetime:
    if text is None:
        return system_clock()
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Failure(f"--at: expected a time such as 2026-01-31T12:00:00Z, found {text!r}") from error
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
