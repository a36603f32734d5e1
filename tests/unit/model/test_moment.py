"""Moments: few spellings, each with one meaning, and nothing that a zone could shift unseen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkv.model.moment import MOMENT_MAX_S, parse_moment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2027-01-01", 1_798_761_600),
        ("2027-01-01T00:00:00Z", 1_798_761_600),
        ("2027-01-01 00:00Z", 1_798_761_600),
        ("2027-01-01T02:00:00+02:00", 1_798_761_600),
        ("2026-12-31T18:30:00-05:30", 1_798_761_600),
        ("2027-01-01T00:00:00.999Z", 1_798_761_600),
        ("2028-02-29", 1_835_395_200),
        ("1970-01-01T00:00:01Z", 1),
        ("9999-12-31T23:59:59Z", MOMENT_MAX_S),
    ],
)
def test_a_date_or_a_time_with_its_zone_is_a_moment(text: str, seconds: int) -> None:
    assert parse_moment(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2027",
        "2027-1-1",
        "2027-13-01",
        "2027-02-29",
        "2027-00-10",
        "0000-01-01",
        "1970-01-01",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-00:01",
        "2027-01-01T12:00:00",
        "2027-01-01T24:00:00Z",
        "2027-01-01T12:60:00Z",
        "2027-01-01T12:00:60Z",
        "2027-01-01T12:00:00+24:00",
        "2027-01-01T12:00:00+0200",
        "2027-01-01T12:00:00.Z",
        "2027-01-01Z",
        "2027-01-01t12:00:00z",
        " 2027-01-01",
        "2027-01-01\n",
        "٢٠٢٧-01-01",
        "20270101",
        "01/02/2027",
        "tomorrow",
        "1798761600",
    ],
)
def test_what_needs_guessing_is_no_moment(text: str) -> None:
    assert parse_moment(text) is None


@given(
    st.datetimes(datetime(1970, 1, 3), datetime(9999, 12, 29)),
    st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_every_rfc_3339_time_means_what_python_takes_it_for(at: datetime, zone: timezone) -> None:
    at = at.replace(tzinfo=zone)
    expected = int(at.astimezone(UTC).timestamp() // 1)
    assert parse_moment(at.isoformat()) == expected
