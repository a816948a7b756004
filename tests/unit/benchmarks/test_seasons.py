"""What is compared when we say that days before do not help."""

import gzip

import numpy as np
import pytest

from tests.benchmarks.seasons import Horizon, last, main, read, scores, season, trend

HOUR = Horizon(ahead=2, recent=1, smooth=1, day=24)


def test_days_that_repeat_are_foreseen_and_their_change_with_them():
    day = 10 + np.arange(24) % 12
    rate = np.concatenate([day * growth for growth in (1.0, 2.0, 3.0)])
    found = season(rate, HOUR)
    assert np.isnan(found[:24]).all()
    # Whatever the level of a day, as long as its shape is the days' before and the day is not left.
    assert found[24:46] == pytest.approx(rate[26:48])
    assert scores(rate[:48], HOUR)["as now, times the days before"].mean_error == pytest.approx(0)
    assert scores(rate[:48], HOUR)["as now"].mean_error > 0.1


def test_no_forecast_reads_the_future():
    rng = np.random.default_rng(1)
    rate = rng.uniform(1, 9, 240)
    other = np.concatenate([rate[:150], rng.uniform(1, 9, 90)])
    horizon = Horizon(ahead=3, recent=5, smooth=1, day=24)
    for forecast in (last, trend, season):
        np.testing.assert_array_equal(forecast(rate, horizon)[:150], forecast(other, horizon)[:150])


def test_a_forecast_in_hand():
    rate = np.array([4.0, 6.0, np.nan, 8.0, 16.0])
    horizon = Horizon(ahead=1, recent=2, smooth=1, day=24)
    assert last(rate, horizon) == pytest.approx([4, 5, 6, 8, 12])
    assert trend(rate, horizon)[1:] == pytest.approx([6, 7, 10, 16])


def test_gaps_and_zeros_are_not_known(tmp_path):
    path = tmp_path / "rates.csv.gz"
    path.write_bytes(gzip.compress(b"window_start_s,requests_per_s\n600,2.5\n1200,0\n2400,3\n"))
    rate, step_min = read(path)
    np.testing.assert_array_equal(rate, [2.5, np.nan, np.nan, 3.0])
    assert step_min == 10


@pytest.mark.parametrize("folder", ["missing", "."])
def test_a_folder_without_series_is_named(tmp_path, folder, capsys):
    with pytest.raises(SystemExit) as failed:
        main(["--rates", str(tmp_path / folder)])
    told = capsys.readouterr()
    assert failed.value.code == 2
    assert f"found none in {tmp_path / folder}" in told.err
    assert not told.out
