"""Replay: a time is read right or refused, never a little off."""

from pathlib import Path

import pytest

from services.common.timestamps import rfc3339_ms
from services.producer.replay import times
from services.producer.replay.report import BadLineError
from tests.unit.producer.replaying import log_line, replay_lines


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("14/Feb/2025:14:30:21 +0000", "2025-02-14T14:30:21.000Z"),
        ("14/Feb/2025:14:30:21.44 +0000", "2025-02-14T14:30:21.440Z"),
        ("14/Feb/2025:14:30:21.123456 +0000", "2025-02-14T14:30:21.123Z"),
        ("14/Feb/2025:14:30:21,5 +0100", "2025-02-14T13:30:21.500Z"),
        ("14/Feb/2025:14:30:21 -0330", "2025-02-14T18:00:21.000Z"),
        ("14/Feb/2025:14:30:21 +01:00", "2025-02-14T13:30:21.000Z"),
        ("14/Feb/2025:14:30:21 UTC", "2025-02-14T14:30:21.000Z"),
        ("14/Feb/2025:14:30:21 GMT", "2025-02-14T14:30:21.000Z"),
        ("2025-02-14T14:30:21+01:00", "2025-02-14T13:30:21.000Z"),
        ("2025-02-14 14:30:21.123 +0000", "2025-02-14T14:30:21.123Z"),
        ("2025-02-14T14:30:21.123456789Z", "2025-02-14T14:30:21.123Z"),
        ("1739543421.123", "2025-02-14T14:30:21.123Z"),
        ("31/Dec/2016:23:59:60 +0000", "2017-01-01T00:00:00.000Z"),
        ("01/Jan/2017:05:29:60.5 +0530", "2017-01-01T00:00:00.500Z"),
    ],
)
def test_the_time_of_a_log_line_is_read_with_its_fraction_and_zone(tmp_path: Path, written: str, read: str) -> None:
    assert replay_lines(tmp_path, log_line(written)).event.event_time == read


@pytest.mark.parametrize(
    "written",
    [
        "14/Feb/2025:14:30:21",
        "14/Feb/2025:14:30:21.123456",
        "2025-02-14T14:30:21",
        "14/Feb/2025:14:30:21 CET",
        "14/Feb/2025:14:30:21 Europe/Berlin",
        "14/Feb/2025:14:30:21 0000",
        "14/Feb/2025:14:30:21 +2400",
        "14/Feb/2025:14:30:21 +0060",
        "14/Feb/2025:14:30:21 +0000x",
        "14/Feb/2025:14:30:60 +0000",
        "14/Feb/2025:24:00:00 +0000",
        "14/feb/2025:14:30:21 +0000",
        "14/02/2025:14:30:21 +0000",
        "1/Feb/2025:14:30:21 +0000",
        "14/Feb/25:14:30:21 +0000",
        "Fri Feb 14 14:30:21 2025",
    ],
)
def test_a_log_line_whose_time_or_zone_is_not_certain_is_refused(tmp_path: Path, written: str) -> None:
    replayed = replay_lines(tmp_path, log_line(written))
    assert replayed.report.bad.total() == 1
    assert not replayed.messages


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2019-11-01 00:00:00 UTC", "2019-11-01T00:00:00.000Z"),
        ("2019-11-01 00:00:00.25 GMT", "2019-11-01T00:00:00.250Z"),
        ("2019-11-01 00:00 +02", "2019-10-31T22:00:00.000Z"),
        ("2019-11-01t00:00:00z", "2019-11-01T00:00:00.000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
    ],
)
def test_the_times_of_well_known_data_sets_are_read(written: str, read: str) -> None:
    assert rfc3339_ms(times.parse(written)) == read


@pytest.mark.parametrize(
    "written",
    [
        "2019-11-01-05:00",
        "2019-11-01+02:00",
        "2019-11-01x05:00:00",
        "2019-11-01 00:00:00 CET",
        "2019-W44-5",
        "01/11/2019 00:00:00",
        "11/01/2019",
        "2019-11-01 12:00:00 PM",
        "2019-13-01",
        "20191101T000000Z",
        "1e9",
        "",
    ],
)
def test_what_could_be_another_time_is_refused(written: str) -> None:
    with pytest.raises(BadLineError):
        times.parse(written)
