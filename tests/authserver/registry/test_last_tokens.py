"""When a last token is due for writing: at most once a day for each client."""

from datetime import UTC, datetime, timedelta

from holdfast_authserver.registry.last_tokens import LastTokens

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_first_token_is_due() -> None:
    tokens = LastTokens()
    tokens.record("a", NOON)

    assert tokens.due() == {"a": NOON}


def test_a_second_token_of_the_day_is_not_due() -> None:
    tokens = LastTokens()
    tokens.record("a", NOON)
    tokens.written(tokens.due())

    tokens.record("a", NOON + timedelta(hours=23, minutes=59))
    assert tokens.due() == {}

    tokens.record("a", NOON + timedelta(hours=24))
    assert tokens.due() == {"a": NOON + timedelta(hours=24)}


def test_what_was_recorded_during_a_write_stays_due() -> None:
    tokens = LastTokens()
    tokens.record("a", NOON)
    saved = tokens.due()
    tokens.forget("a")
    tokens.record("a", NOON + timedelta(seconds=1))

    tokens.written(saved)

    assert tokens.due() == {"a": NOON + timedelta(seconds=1)}


def test_a_write_that_failed_stays_due() -> None:
    tokens = LastTokens()
    tokens.record("a", NOON)
    tokens.due()

    assert tokens.due() == {"a": NOON}
