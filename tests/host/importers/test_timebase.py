"""Time stamps, gaps, resampling, signals of unlike rates on one clock."""

from __future__ import annotations

import numpy as np
import pytest
from ditmos.datasets.importers.labels import row_labels
from ditmos.datasets.importers.recording import Recording, Signal, Span
from ditmos.datasets.importers.stamps import in_order, to_seconds
from ditmos.datasets.importers.timebase import bridge, join, nominal, pace, resample, spread_stamps
from ditmos.errors import DitmosError


def over(form: str, hour: int) -> np.ndarray:
    """The last second of an hour at 50 Hz, and the first of the next, in which summer time begins."""
    rows = [(hour + i // 50, 59 * (i < 50), 59 * (i < 50) + i % 50 / 50) for i in range(100)]
    return np.array(
        [
            form.format(hour=h, summer=h + (h > hour), zone=1 + (h > hour), minute=m, second=s, half="AP"[h > 11] + "M")
            for h, m, s in rows
        ],
        object,
    )


@pytest.mark.parametrize(
    ("column", "name", "unit", "form"),
    [
        (np.arange(100) * 20, "time", "", "ms"),
        (np.arange(100) * 20000, "time", "", "us"),
        (np.arange(100) * 20_000_000, "time", "", "ns"),
        (np.arange(100) / 50, "time", "", "s"),
        (np.arange(100) * 20.0, "t", "ms", "ms"),
        (np.arange(100) * 0.02, "time (s)", "", "s"),
        (np.arange(100) * 0.02 / 60, "time_min", "", "min"),
        (np.arange(100) * 0.02 / 3600, "Elapsed time", "hours", "h"),
        (1_700_000_000_000 + np.arange(100) * 20, "timestamp", "", "ms"),
        (1_700_000_000_000_000_000 + np.arange(100) * 20_000_000, "timestamp", "", "ns"),
        (1_700_000_000 + np.arange(100) / 50, "timestamp", "", "s"),
        (np.array([f"2024-05-01T12:00:{i / 50:09.6f}Z" for i in range(100)], object), "t", "", "ISO 8601"),
        (np.array([f"2024-05-01 12:00:{i / 50:06.3f}" for i in range(100)], object), "t", "", "ISO 8601"),
        (np.array([f"23:59:{59 + i / 50:06.3f}" for i in range(50)], object), "t", "", "time of day"),
        (np.array([f"31.12.2023 12:00:{i / 50:06.3f}" for i in range(100)], object), "t", "", "dates, day first"),
        (np.array([f"12/31/2023 12:00:{i / 50:06.3f}" for i in range(100)], object), "t", "", "dates, month first"),
        (np.array([f"12:00:{i / 50:06.3f}".replace(".", ",") for i in range(100)], object), "t", "", "time of day"),
        (np.array([f"12:00:{i / 50:06.3f}".replace(".", ":") for i in range(100)], object), "t", "", "time of day"),
        (over("{hour:02d}:{minute:02d}:{second:06.3f} {half}", 11), "t", "", "time of day"),
        (np.array([f"20240501T1200{i / 50:06.3f}Z" for i in range(100)], object), "t", "", "ISO 8601"),
        (over("2024-03-31T{summer:02d}:{minute:02d}:{second:06.3f}+0{zone}:00", 1), "t", "", "ISO 8601"),
        (np.array([f"01-May-2024 12:00:{i / 50:06.3f}" for i in range(100)], object), "t", "", "dates, month first"),
        (20240501120000000 + np.arange(100) * 20, "t", "", "ISO 8601"),
        (np.array([f"2024/4/1 9:05:{i / 50:06.3f} AM" for i in range(100)], object), "t", "", "dates, year first"),
        (45413.5 + np.arange(100) * 0.02 / 86400, "time", "", "days"),
        ((2**32 - 1000 + np.arange(100) * 20) % 2**32, "millis", "", "ms, a counter of 32 bits"),
        ((2**16 - 1000 + np.arange(100) * 20) % 2**16, "millis", "", "ms, a counter of 16 bits"),
    ],
)
def test_stamps_of_all_kinds(column: np.ndarray, name: str, unit: str, form: str) -> None:
    seconds, said = to_seconds(column, name, unit)
    assert said == form
    np.testing.assert_allclose(np.diff(seconds), 0.02, atol=2e-6)


def test_days_are_unix_time_and_a_doubtful_unit_is_said_to_be_guessed() -> None:
    for days in (45413.5, 739373.5):  # the same noon, for Excel and for MATLAB
        seconds, _ = to_seconds(days + np.arange(9) * 0.02 / 86400, "time")
        np.testing.assert_allclose(seconds, 1714564800 + np.arange(9) / 50, rtol=0, atol=2e-5)
    seconds, _ = to_seconds(20240501120000 + np.arange(9) / 50, "t")
    np.testing.assert_allclose(seconds, 1714564800 + np.arange(9) / 50, rtol=0, atol=4e-3)  # what float64 keeps of it
    assert to_seconds(np.arange(100), "t")[1] == "ms (a guess: --time-unit)"  # 1 kHz, or 1 Hz
    assert to_seconds(np.arange(100), "t [s]")[1] == "s"


def test_minutes_and_seconds_of_a_spreadsheet() -> None:
    column = np.array([f"{59 * (i < 50)}:{59 * (i < 50) + i % 50 / 50:06.3f}" for i in range(100)], object)
    seconds, said = to_seconds(column, "t")  # 59:59.980 and then 0:00.000
    assert said == "minutes and seconds"
    np.testing.assert_allclose(np.diff(seconds), 0.02, atol=1e-9)


def test_midnight_and_unit_of_the_user() -> None:
    seconds, _ = to_seconds(np.array(["23:59:59.5", "23:59:59.9", "00:00:00.3"], object), "t")
    np.testing.assert_allclose(np.diff(seconds), 0.4, atol=1e-9)
    seconds, _ = to_seconds(np.array([0, 20, 40]), "time_ms", given="us")
    np.testing.assert_allclose(seconds, [0, 20e-6, 40e-6])
    with pytest.raises(DitmosError, match="time unit is 'weeks', expected one of s, ms, us, ns"):
        to_seconds(np.array([0, 1]), "t", given="weeks")
    with pytest.raises(DitmosError, match="'noon' is no time"):
        to_seconds(np.array(["noon", "midnight"], object), "t")
    for nothing in (np.array(["", ""], object), np.full(2, np.nan)):
        with pytest.raises(DitmosError, match="column 't': no time stamp in 2 rows"):
            to_seconds(nothing, "t")


def test_rows_out_of_order_are_sorted_and_said() -> None:
    times = np.arange(100) / 50
    shuffled = times.copy()
    shuffled[[10, 11, 40, 41]] = shuffled[[11, 10, 41, 40]]
    index, sorted_times, note = in_order(shuffled)
    np.testing.assert_array_equal(sorted_times, times)
    np.testing.assert_array_equal(index[[10, 11]], [11, 10])
    assert note == "2 rows are out of order in time, and were sorted"
    assert in_order(np.array([0.0, np.nan, 1.0, np.nan]))[2] == "2 rows have no time, and are left out"
    shuffled = times.copy()
    shuffled[[10, 80]] = shuffled[[80, 10]]  # far from their places
    index, sorted_times, note = in_order(shuffled)
    np.testing.assert_array_equal(sorted_times, times)
    np.testing.assert_array_equal(index[[10, 80]], [80, 10])
    assert note == "2 rows are out of order in time, and were sorted"


def test_time_that_begins_anew_is_not_mixed() -> None:
    times = np.concatenate([np.arange(100), np.arange(80)]) / 50
    index, shifted, note = in_order(times)
    np.testing.assert_array_equal(index, np.arange(180))
    assert (np.diff(shifted) > 0).all() and note and "begins anew 1 times" in note


def test_rate_from_stamps_with_gaps_jitter_and_coarse_clocks() -> None:
    rng = np.random.default_rng(0)
    even = np.arange(1000) / 64
    for times in (even, np.round(even, 3), np.delete(even, [100, 500, 501, 502]), even + rng.uniform(0, 0.006, 1000)):
        measured = pace(times)
        assert measured and measured.rate == pytest.approx(64, rel=0.005)
    coarse = spread_stamps(np.floor(0.3 + np.arange(1000) / 50))
    measured = pace(coarse)
    assert measured and measured.rate == pytest.approx(50, rel=1e-3)
    assert np.diff(coarse).max() < measured.gap and (np.diff(coarse) > 0).all()
    assert nominal(49.93) == 50 and nominal(63.98) == 64 and nominal(20.3) == 20.3


def one(samples: np.ndarray, **changes: object) -> Recording:
    columns = samples.shape[1]
    signal = Signal(samples, tuple("abc"[:columns]), ("",) * columns, **changes)
    return Recording("r", "test", (signal,))


def test_regular_rows_stay_as_they_are() -> None:
    values = np.random.default_rng(0).normal(size=(500, 3))
    jitter = np.round(np.arange(500) / 50 + np.random.default_rng(1).uniform(-0.004, 0.004, 500), 3)
    for recording in (one(values, rate=50.0), one(values, times=jitter), one(values, rate=49.6)):
        np.testing.assert_array_equal(join(recording, 50.0).samples, values)


def test_gaps_are_missing_values_unless_bridged() -> None:
    values, times = np.arange(100.0)[:, None], np.arange(100) / 50
    keep = np.r_[0:40, 45:100]
    grid = join(one(values[keep], times=times[keep]), 50.0)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(grid.samples[:, 0])), np.arange(40, 45))
    np.testing.assert_array_equal(grid.samples[45:, 0], values[45:, 0])
    grid = join(one(values[keep], times=times[keep]), 50.0, fill=0.2)
    np.testing.assert_allclose(grid.samples[:, 0], np.arange(100.0), atol=1e-9)
    assert grid.uneven == 95


def test_uneven_stamps_are_interpolated_and_counted() -> None:
    times = np.sort(np.random.default_rng(0).uniform(0, 20, 1000))
    grid = join(one(np.sin(times)[:, None], times=times), 50.0)
    assert grid.uneven == 1000
    at = grid.start + np.arange(len(grid)) / 50
    good = np.isfinite(grid.samples[:, 0])
    assert good.mean() > 0.9
    np.testing.assert_allclose(grid.samples[good, 0], np.sin(at[good]), atol=0.02)


def test_resampling_keeps_levels_and_lets_nothing_alias() -> None:
    time = np.arange(2000) / 200
    slow, fast = np.sin(2 * np.pi * 2 * time), np.sin(2 * np.pi * 60 * time)  # 60 Hz would come out as 10 Hz
    out = resample(np.column_stack([slow + 9.81, fast, np.full(2000, 1013.25)]), 200, 50)
    at = np.arange(500) / 50
    np.testing.assert_allclose(out[10:-10, 0], np.sin(2 * np.pi * 2 * at[10:-10]) + 9.81, atol=2e-3)
    assert np.abs(out[20:-20, 1]).max() < 0.01
    np.testing.assert_allclose(out[:, 2], 1013.25, rtol=1e-9)  # also at the ends
    up = resample(slow[:, None], 200, 333)
    np.testing.assert_allclose(up[50:-50, 0], np.sin(2 * np.pi * 2 * np.arange(len(up)) / 333)[50:-50], atol=3e-3)


def test_clocks_that_differ_by_little_do_not_drift_apart() -> None:
    """A step at 240 s, seen by sensors of 50.02 and of 50 Hz, and named by a label's time beside 49.8 Hz."""
    rates = (50.02, 50.0)
    signals = [
        Signal((np.arange(round(300 * rate)) >= 240 * rate).astype(float)[:, None], (f"{rate}",), ("",), rate=rate)
        for rate in rates
    ]
    grid = join(Recording("r", "test", tuple(signals)), 50.0)
    assert [int((column > 0.5).argmax()) for column in grid.samples.T] == [12000, 12000]
    times = np.arange(15000) / 49.8
    step = (times >= 240).astype(float)[:, None]
    recording = Recording("r", "test", (Signal(step, ("a",), ("",), times=times),), spans=(Span(240, 400, "x"),))
    grid = join(recording, 50.0)
    labels = row_labels(recording, len(grid), grid.start, 50.0, None, None)
    assert abs(int((labels == "x").argmax()) - int((grid.samples > 0.5).argmax())) <= 1


def test_rows_behind_a_gap_replace_none_before_it() -> None:
    """5,000 rows at 50.3 Hz are 100 s at 50, but lasted 99.4 s: a gap of half a second is still one."""
    times = np.arange(10000) / 50.3
    times[5000:] += 0.5
    grid = join(one(np.arange(10000.0)[:, None], times=times), 50.0)
    missing = np.flatnonzero(np.isnan(grid.samples[:, 0]))
    np.testing.assert_array_equal(missing, [5000])
    np.testing.assert_array_equal(np.delete(grid.samples[:, 0], missing), np.arange(10000))


def test_two_rates_on_one_clock() -> None:
    """An event at unix time 1000.0 s is in the same row of both signals, whatever their rates and starts."""
    fast_time, slow_time = 997 + np.arange(640) / 64, 995.5 + np.arange(60) / 4
    fast = Signal((fast_time >= 1000.0).astype(float)[:, None], ("fast",), ("g",), rate=64.0, start=997.0)
    slow = Signal((slow_time >= 1000.0).astype(float)[:, None], ("slow",), ("uS",), rate=4.0, start=995.5)
    grid = join(Recording("r", "test", (fast, slow)), 16.0)
    assert grid.channels == ("fast", "slow") and grid.units == ("g", "uS") and grid.start == 997.0
    assert len(grid) == 160  # until the fast one ends
    half = [int(np.argmax(column > 0.5)) for column in grid.samples.T]
    # 4 Hz knows the event to a quarter of a second: its step rises between two samples
    assert half[0] == 48 and 48 - 3 <= half[1] <= 48
    with pytest.raises(DitmosError, match="no time in common"):
        join(Recording("r", "test", (fast, Signal(np.ones((4, 1)), ("x",), ("",), rate=4.0, start=10.0))), 16.0)
    with pytest.raises(DitmosError, match="does not say its rate; give --rate"):
        join(one(np.ones((9, 1))), 16.0)


def test_counts_stay_counts() -> None:
    counts = np.random.default_rng(0).integers(-30000, 30000, (800, 1)).astype(np.int16)
    recording = one(counts, rate=200.0, scale=0.5)
    grid = join(recording, 200.0)
    assert grid.samples.dtype == np.int16 and grid.scale == 0.5
    np.testing.assert_array_equal(grid.samples, counts)
    assert join(recording, 50.0).samples.dtype == np.int16
    assert join(one(counts, rate=200.0), 50.0).samples.dtype == np.float64  # a scale nobody gave: nothing is rounded
    loud = np.where(np.arange(800) // 8 % 2, 32767, -32768).astype(np.int16)[:, None]
    assert join(one(loud, rate=200.0, scale=1.0), 100.0).clipped > 0


def test_short_holes_are_bridged() -> None:
    values = np.array([0, np.nan, 2, np.nan, np.nan, np.nan, 6, np.nan])[:, None]
    np.testing.assert_array_equal(bridge(values, 1)[:, 0], [0, 1, 2, np.nan, np.nan, np.nan, 6, np.nan])
    np.testing.assert_array_equal(bridge(values, 3)[:, 0], [0, 1, 2, 3, 4, 5, 6, np.nan])


def test_stamps_that_stand_still_have_no_pace() -> None:
    assert pace(np.repeat([0.0, 1.0, 2.0], [50, 50, 3])) is None and pace(np.zeros(9)) is None
