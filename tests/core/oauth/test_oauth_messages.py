"""The syntax of what clients send (RFC 6749 section 3.2 and appendix B, RFC 8707 section 2)."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.oauth.errors import InvalidRequest, InvalidScope, InvalidTarget
from holdfast.oauth.messages import MAX_PARAMETERS, TokenRequest, parse_form, parse_resource, parse_scope


def test_a_form_is_decoded_as_utf_8_with_plus_for_space() -> None:
    form = parse_form(b"client_id=a%C3%A9&scope=a+b&empty=")

    assert form.get("client_id") == "aé"
    assert form.get("scope") == "a b"


def test_an_empty_value_counts_as_absent() -> None:
    """O-05."""
    form = parse_form(b"client_id=")

    assert form.get("client_id") is None
    with pytest.raises(InvalidRequest):
        form.require("client_id")


@pytest.mark.parametrize(
    "body",
    [
        b"client_id=a&client_id=a",  # O-03, M-03
        b"client_id=a&client%5Fid=b",
        b"client_id=&client_id=a",
        b"client_id",
        b"a=b&&c=d",
        b"a=%",
        b"a=%4",
        b"a=%zz",
        b"a=%ff",
        b"a=%ed%a0%80",  # a surrogate
        b"a=\xc3\xa9",  # not encoded
        b"&".join(b"p%d=x" % i for i in range(MAX_PARAMETERS + 1)),
    ],
)
def test_a_malformed_form_is_an_invalid_request(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_form(body)


def test_resource_alone_may_repeat() -> None:
    assert parse_form(b"resource=https://a&resource=https://b").all("resource") == ("https://a", "https://b")


@given(st.binary(max_size=300))
def test_no_bytes_give_anything_but_a_request_or_an_oauth_error(body: bytes) -> None:
    with contextlib.suppress(InvalidRequest, InvalidScope, InvalidTarget):
        TokenRequest.from_form(parse_form(body))


@pytest.mark.parametrize("text", ["", " ", "a  b", " a", "a ", 'a"b', "a\\b", "a\tb", "é", "x" * 3000])
def test_a_malformed_scope_is_refused(text: str) -> None:
    with pytest.raises(InvalidScope):
        parse_scope(text)


def test_scope_keeps_its_order_and_loses_repeats() -> None:
    assert parse_scope("b a b") == ("b", "a")


@pytest.mark.parametrize(
    "value",
    ["orders", "/orders", "https://orders#x", "https://o rders", "https://örders", "https://[::1", "1a:b", "https:", ":"],
)
def test_a_resource_that_is_no_absolute_uri_without_fragment_is_refused(value: str) -> None:
    """R-01."""
    with pytest.raises(InvalidTarget):
        parse_resource((value,))


def test_the_same_resource_twice_is_one_and_two_are_refused() -> None:
    assert parse_resource(("urn:a:b", "urn:a:b")) == "urn:a:b"
    with pytest.raises(InvalidTarget):
        parse_resource(("https://a", "https://b"))
