"""The front end of a wristband: units in whole steps, rows against floats, what training chooses for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.float_features import error, float_rows, labels_changed
from ditmos.bench.route import as_sent, decide, of_strangers, quantized_windows
from ditmos.cli.data.info import summarize
from ditmos.datasets import TEST, Dataset, save
from ditmos.datasets.features import lost_as_samples, to_vitals
from ditmos.datasets.units import in_whole_steps
from ditmos.errors import DitmosError
from ditmos.frontends import vitals
from ditmos.keep import Keep
from ditmos.link import alone
from ditmos.model.policy import own_policy
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.planner.budget import Budget
from ditmos.training.choose import choose_data
from ditmos.training.data import DataConfig, load_prepared
from ditmos.training.learn import learn
from ditmos.training.run import MODEL, Request, as_suits, prepare_task, train
from test_training import SMALL

FS = 16.0
SHAPE = {"selector": "2k3", "classifier": "4k3", "classifiers": 2}
CHANNELS = ("BVP", "EDA", "TEMP", "ACC_X", "ACC_Y", "ACC_Z")


def wrist(people: int = 6, each: int = 8) -> Dataset:
    """Half a minute of rest at 66 beats a minute, or of stress at 90, with the skin's level of each person."""
    rng = np.random.default_rng(0)
    count = people * each
    y, subject = np.arange(count) % 2, np.arange(count) // each
    t = np.arange(int(30 * FS)) / FS
    beat = 80 * np.sin(2 * np.pi * np.array([1.1, 1.5])[y, None] * t + rng.uniform(0, 6, (count, 1)))
    skin = rng.uniform(0.5, 5, people)[subject, None] * (1 + 0.1 * y[:, None]) + rng.normal(0, 0.02, (count, len(t)))
    warmth = 32 + rng.uniform(-1, 1, people)[subject, None] + rng.normal(0, 0.1, (count, len(t)))
    motion = rng.normal(0, 0.02, (3, count, len(t))) + np.array([0.1, -0.2, 0.95])[:, None, None]
    x = np.stack([beat, skin, warmth, *motion], -1).astype(np.float32)
    split = np.array([0, 0, 0, 0, 1, 2], np.int8)[subject]
    units = "BVP a.u., EDA uS, TEMP degC, ACC g"
    return Dataset(x, y, subject, subject, ("rest", "stress"), CHANNELS, 1.0, units, FS, split, "wrist")


def test_units_become_so_fine_that_whole_numbers_do() -> None:
    dataset = wrist()
    assert dataset.channel_units == ("a.u.", "uS", "degC", "g", "g", "g")
    whole = in_whole_steps(dataset)
    assert whole.channel_units == ("a.u.", "nS", "cdegC", "mg", "mg", "mg")
    assert whole.x.dtype == np.int16 and whole.scale == 1.0
    assert np.abs(whole.x - dataset.x * np.array([1, 1000, 100, 1000, 1000, 1000])).max() <= 0.51
    assert in_whole_steps(whole) is whole
    volts = in_whole_steps(replace(dataset, x=dataset.x[:, :, 1:2], channels=("v",), units="V", scale=2.0))
    assert volts.units == "mV" and volts.x[0, 0, 0] == round(2000 * float(dataset.x[0, 0, 1]))


def test_units_of_which_no_finer_one_fits_lose_digits_and_say_so() -> None:
    """Kelvin become hundredths of a degree; a pulse in units of its own has no finer one, 20 mS would be beyond nS."""
    dataset = wrist()
    x = dataset.x * np.array([0.01, 4, 1, 9.8, 9.8, 9.8]) + np.array([0, 0, 273.15, 0, 0, 0])
    other = replace(dataset, x=x.astype(np.float32), units="BVP a.u., EDA mS, TEMP K, ACC m/s^2")
    whole = in_whole_steps(other)
    assert whole.channel_units == ("a.u.", "uS", "cdegC", "cm/s^2", "cm/s^2", "cm/s^2")
    np.testing.assert_allclose(whole.x[:, :, 2], dataset.x[:, :, 2] * 100, atol=0.6)
    (said,) = lost_as_samples(other, "vitals")
    assert said.startswith("channel BVP loses") and said.endswith("in steps of 1 a.u.: a finer unit would keep it")
    (said,) = lost_as_samples(replace(other, x=other.x * np.float32([100, 10_000, 1, 1, 1, 1])), "vitals")
    assert "channel EDA loses" in said and said.endswith("of it is beyond 16 bits")
    assert lost_as_samples(dataset, "vitals") == []
    assert "channel BVP loses" in summarize(other)["trouble"][-1]


def test_integer_rows_are_those_of_floats() -> None:
    prepared = to_vitals(wrist())
    assert prepared.front is not None and prepared.samples is not None
    floats = vitals.vitals(prepared.samples.transpose(0, 2, 1), FS, 1.0, 3)
    assert prepared.dataset.x.shape == floats.shape == (48, 12, 7 * 7)
    error = prepared.dataset.x * prepared.dataset.scale - floats
    assert np.sqrt(np.square(error).mean()) < 0.002


def test_a_pulse_lies_in_the_band_of_its_rate() -> None:
    prepared = to_vitals(wrist())
    heart = prepared.dataset.x[:, :, 2:6].mean(1).argmax(1)  # of 0.625 to 2.5 Hz
    np.testing.assert_array_equal(heart, np.array([1, 2])[wrist().y])  # 1.1 Hz lies in 1 to 1.375, 1.5 in the next
    assert prepared.dataset.channels[2] == "BVP 0.625-1Hz" and prepared.dataset.channels[-1] == "motion 2.5-8Hz"
    level = prepared.dataset.x[:, 0, 7]  # of skin conductance: log of its square
    expected = 2 * np.log(wrist().x[:, 0, 1]) / prepared.dataset.scale
    assert np.corrcoef(level, expected)[0, 1] > 0.999


def test_training_chooses_it_and_a_scale_for_each_person() -> None:
    config, kind, _ = choose_data(wrist(), None)
    assert (kind, config.front_end, config.standardise) == ("wrist", "vitals", "subject")
    prepared = load_prepared(config, wrist())
    own = prepared.dataset.subject == 5
    away = np.abs(prepared.dataset.x[own].mean((0, 1)))  # 4096 is a deviation; a level that hardly changes is rounded
    assert np.median(away) < 10
    assert prepared.front is not None and prepared.sent.units == "a.u., nS, cdegC, mg, mg, mg"
    without = replace(wrist(), x=wrist().x[:, :, :3], channels=CHANNELS[:3], units="BVP a.u., EDA uS, TEMP degC")
    assert choose_data(without, None)[1] == "wrist"
    assert load_prepared(DataConfig(front_end="vitals"), without).dataset.x.shape[2] == 3 * 7


def test_features_of_float_rows_are_near_those_of_integers() -> None:
    config, _, _ = choose_data(wrist(), None)
    prepared = load_prepared(replace(config, features=True), wrist())
    front, samples = prepared.front, prepared.sent.x[:4]
    assert front is not None and front.features_rows
    made, real = front(samples), float_rows(front, samples)
    assert made.shape == real.shape == (4, 1, front.channels_out)
    assert np.median(np.abs(made - real)) <= 1 and np.corrcoef(made.ravel(), real.ravel())[0, 1] > 0.999


def test_one_person_and_short_windows_train_too() -> None:
    """One person has no scale of their own; windows with too few rows of a front end go without."""
    made = wrist()
    alone = replace(made, subject=np.zeros(len(made), np.int64))
    config, kind, reasons = choose_data(alone, None)
    assert (kind, config.front_end, config.standardise) == ("wrist", "vitals", "none")
    assert load_prepared(config, alone).front is not None and reasons[-1].what == "front end vitals"
    for channels, fs, units in ((6, FS, made.units), (8, 128.0, "uV"), (1, 16000.0, "full scale")):
        x = np.resize(made.x, (len(made), 60, channels)).astype(np.float32)
        names = made.channels if channels == 6 else tuple(f"c{i}" for i in range(channels))
        short = replace(made, x=x, channels=names, fs=fs, units=units)
        config, kind, reasons = choose_data(short, None)
        assert (kind, config.front_end, config.standardise, config.surroundings) == ("other", "none", "none", False)
        why = "0 rows of one are in a window of 60 samples, too few for a network"
        assert ("no front end", why) in [(r.what, r.why) for r in reasons]
        assert load_prepared(config, short).front is None


def test_of_several_people_the_plainest_model_suits(tmp_path: Path) -> None:
    """Of EEG, too; unless a network is asked for: by what bounds it, or by a setting that nothing else reads."""
    request = Request(save(wrist(), tmp_path / "wrist.npz"))
    assert (as_suits(request).method, as_suits(replace(request, settings={"data": {"test": 0.3}})).method) == (
        "linear", "linear",
    )  # fmt: skip
    _, reasons = prepare_task(as_suits(request), Keep())
    assert ("method linear", as_suits(request).why) in [(reason.what, reason.why) for reason in reasons]
    for changes in ({"budget": Budget(instructions=30_000)}, {"settings": {"fit": {"epochs": 8}}}):
        asked = replace(request, **changes)
        assert as_suits(asked) == asked
    made = wrist()
    x, names = np.resize(made.x, (len(made), 256, 8)).astype(np.float32), tuple(f"c{i}" for i in range(8))
    electrodes = replace(made, x=x, channels=names, fs=128.0, units="uV")
    assert as_suits(replace(request, data=save(electrodes, tmp_path / "eeg.npz"))).method == "linear"
    alone = replace(made, subject=np.zeros(len(made), np.int64))
    short = replace(made, x=made.x[:, : int(12 * FS)])  # three rows
    for i, other in enumerate((alone, short)):
        assert as_suits(replace(request, data=save(other, tmp_path / f"{i}.npz"))).method == "best"


def test_a_run_says_what_a_scale_of_ones_own_is_worth(tmp_path: Path) -> None:
    """The session's figure is the run's; a stranger's is that of the front end as the board has it from its file."""
    data = save(wrist(), tmp_path / "wrist.npz")
    row = train(Request(data, settings={**SMALL, "network": SHAPE}), tmp_path / "run", learn)
    found = row["strangers"]
    assert set(found) == {"session", "first minutes", "uncalibrated"} and found["session"] == row["int8"]
    reference = Model(read_model(tmp_path / "run" / MODEL)[0])
    whole = in_whole_steps(wrist())
    test = whole.part(TEST)
    assert reference.model.front_end is not None and reference.model.front_end.operations[-1].own
    answers = decide(own_policy(reference.model), reference, np.ascontiguousarray(reference.quantize(whole.x[test])))
    assert found["uncalibrated"] == (answers.label == whole.y[test]).mean()
    windows = quantized_windows(reference, wrist(), test)  # of real numbers, in the units of the set
    np.testing.assert_array_equal(windows, reference.quantize(whole.x[test]))
    assert of_strangers(reference, wrist())
    main = alone.main_program(reference.model, alone.Settings(calibrate=180), "sensors", "Simulated")
    assert "calibrate=180," in main and "events=lambda: steady(" in main
    without = replace(reference.model, front_end=None)
    with pytest.raises(DitmosError, match="calibrate: the model has no scale of a wearer"):
        alone.main_program(without, alone.Settings(calibrate=180), "sensors", "Simulated")
    sent = as_sent(reference, wrist())  # what a board gets of them
    assert sent.x.dtype == np.int16 and sent.channel_units == ("a.u.", "nS", "cdegC", "mg", "mg", "mg")
    np.testing.assert_array_equal(quantized_windows(reference, sent, test), windows)
    assert labels_changed(reference, wrist(), test) <= 2
    front = reference.model.front_end
    assert front.spectrum is not None and front.spectrum.wide and error(front, whole.x[test]) < 0.002


def test_a_rate_that_is_too_low_is_refused() -> None:
    with pytest.raises(DitmosError, match="vitals: fs is 8 Hz, expected 16 to 256 Hz"):
        vitals.front_end(8.0, 1.0, "", CHANNELS, 3)
    with pytest.raises(DitmosError, match=r"wrist: .*100 samples, a row needs 128"):
        to_vitals(replace(wrist(), x=wrist().x[:, :100]))
