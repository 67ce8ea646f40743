"""`holdfast inspect` explains what lies before it, and says whether token and certificate belong together."""

import json
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner, Result

from holdfast_cli.main import main
from tests.core.x509.authority import Authority, Issued

KEY = "a secret of the test that is long enough for HS256"


@pytest.fixture(scope="module")
def issued() -> Issued:
    return Authority.root("CN=Root,O=Shop").issue(
        "CN=orders,O=Shop", uris=("spiffe://cluster.local/ns/shop/sa/orders",), dns=("orders.shop.svc",), ips=("10.0.0.1",)
    )


def inspect(*files: Path | str, stdin: bytes | str | None = None) -> Result:
    return CliRunner().invoke(main, ["inspect", *map(str, files)], input=stdin)


def token(thumbprint: str | None, **claims: object) -> str:
    bound = {} if thumbprint is None else {"cnf": {"x5t#S256": thumbprint}}
    return jwt.encode({"iss": "https://as.test", "client_id": "shop.orders", "exp": 1767225600, **bound, **claims}, KEY)


def words(result: Result) -> list[list[str]]:
    return [line.split() for line in result.output.splitlines()]


def test_a_certificate_is_explained_field_by_field(issued: Issued, tmp_path: Path) -> None:
    cert_file, _ = issued.write(tmp_path)

    found = words(inspect(cert_file))

    assert ["x5t#S256", issued.certificate.x5t_s256] in found
    assert ["subject", "(tls_client_auth_subject_dn)", "CN=orders,O=Shop"] in found
    assert ["san", "uri", "spiffe://cluster.local/ns/shop/sa/orders"] in found
    assert ["san", "dns", "orders.shop.svc"] in found
    assert ["san", "ip", "10.0.0.1"] in found
    assert any(line[:2] == ["not", "after"] for line in found)


def test_der_on_standard_input_is_recognised(issued: Issued) -> None:
    assert issued.certificate.x5t_s256 in inspect(stdin=issued.certificate.der).output


def test_a_token_is_explained_with_its_binding_and_times(issued: Issued) -> None:
    result = inspect("-", stdin=token(issued.certificate.x5t_s256) + "\n")

    assert result.exit_code == 0
    assert ["cnf", "x5t#S256", issued.certificate.x5t_s256] in words(result)
    assert ["signature", "not", "checked"] in words(result)
    assert "2026-01-01T00:00:00Z" in result.output


def test_a_token_response_is_taken_as_it_is(issued: Issued) -> None:
    answer = json.dumps({"access_token": token(issued.certificate.x5t_s256), "token_type": "Bearer"})

    assert issued.certificate.x5t_s256 in inspect(stdin=answer).output


def test_a_token_that_is_not_bound_is_called_so() -> None:
    assert "whoever holds this token can use it" in inspect(stdin=token(None)).output


def test_a_token_and_its_certificate_belong_together(issued: Issued, tmp_path: Path) -> None:
    cert_file, _ = issued.write(tmp_path)
    (tmp_path / "token").write_text(token(issued.certificate.x5t_s256))

    result = inspect(tmp_path / "token", cert_file)

    assert result.exit_code == 0
    assert f"belong together: x5t#S256 {issued.certificate.x5t_s256}" in result.output


@pytest.mark.parametrize("thumbprint", ["A" * 43, None])
def test_a_token_and_another_certificate_do_not(issued: Issued, tmp_path: Path, thumbprint: str | None) -> None:
    cert_file, _ = issued.write(tmp_path)
    (tmp_path / "token").write_text(token(thumbprint))

    result = inspect(tmp_path / "token", cert_file)

    assert result.exit_code == 1
    assert "do not belong together" in result.output


def test_json_has_the_same_members(issued: Issued, tmp_path: Path) -> None:
    cert_file, _ = issued.write(tmp_path)

    value = json.loads(CliRunner().invoke(main, ["inspect", "--json", str(cert_file)]).output)

    assert value["inputs"][0]["x5t#S256"] == issued.certificate.x5t_s256


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "found something else"),
        (b"hello", "found something else"),
        (b"\xff\xfe\x00", "found something else"),
        (b"\x30\x03\x02\x01\x01", "not a certificate we can read"),
        (b"a.b.c", "the token's header"),
        (b"W10.W10.", "the token's header: expected a JSON object, found list"),
        (b"{}", "expected access_token to be a JWT"),
        (b"{", "JSON that is broken"),
        (b"[" * 100_000, "found something else"),
        (b'{"a":' * 100_000, "JSON that is broken"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 of the bundle"),
    ],
)
def test_what_is_neither_is_one_line_and_exit_code_2(content: bytes, said: str) -> None:
    result = inspect(stdin=content)

    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_private_key_is_not_taken_for_anything(issued: Issued) -> None:
    result = inspect(stdin=issued.key_pem)

    assert result.exit_code == 2
    assert "PRIVATE KEY" in result.stderr


def test_odd_claims_are_shown_and_never_a_traceback() -> None:
    odd = token(None, exp="soon", iat=1e300, nbf=True, cnf="x", aud=[{}])

    result = inspect(stdin=odd)

    assert result.exit_code == 0
    assert "'soon' (expected seconds since the epoch)" in result.output
    assert "(out of range)" in result.output


def test_a_file_that_is_not_there_is_named() -> None:
    result = inspect("/no/such/file")

    assert result.exit_code == 2
    assert result.stderr == "holdfast inspect: /no/such/file: cannot be read: No such file or directory\n"


def test_claims_cannot_steer_the_terminal_nor_break_the_command() -> None:
    """A JSON text may hold control characters and half a surrogate pair (RFC 8259 section 8.2)."""
    result = inspect(stdin=token(None, a="\ud800", **{"b\x1b": "\x1b[2J\nexp  never"}))

    assert result.exit_code == 0
    assert ["a", "\\ud800"] in words(result)
    assert ["b\\x1b", "\\x1b[2J\\nexp", "never"] in words(result)


def test_a_thumbprint_that_is_no_text_belongs_to_no_certificate(issued: Issued, tmp_path: Path) -> None:
    cert_file, _ = issued.write(tmp_path)
    (tmp_path / "token").write_text(token("\ud800\x1b"))

    result = inspect(tmp_path / "token", cert_file)

    assert result.exit_code == 1
    assert "do not belong together: x5t#S256 \\ud800\\x1b against" in result.output


def test_an_empty_name_is_not_taken_for_the_working_directory() -> None:
    assert inspect("").stderr == "holdfast inspect: FILE: expected the path of a file, or '-', found ''\n"
