"""base64url without padding: one text for the same bytes, and no other is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.base64url import from_base64url, to_base64url


@given(st.binary(max_size=64))
def test_what_was_written_is_read_back(data: bytes) -> None:
    assert from_base64url(to_base64url(data)) == data


@given(st.binary(max_size=16))
def test_a_text_that_is_read_is_the_one_of_its_bytes(text: bytes) -> None:
    try:
        data = from_base64url(text)
    except ValueError:
        return

    assert to_base64url(data) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"YQ==", id="padding"),
        pytest.param(b"YR", id="bits behind the last octet"),
        pytest.param(b"-_+/", id="the alphabet of base64 mixed in"),
        pytest.param(b"YWJj\n", id="a line break"),
        pytest.param(b"YWJjZ", id="a length that nothing has"),
    ],
)
def test_every_other_text_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="base64"):
        from_base64url(text)
