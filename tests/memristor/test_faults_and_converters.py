# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from neurohw.errors import InvalidData, InvalidModel
from neurohw.memristor.converters import (
    Converter,
    calibrated_range,
    convert_signed,
    convert_unsigned,
)
from neurohw.memristor.crossbar import program_crossbar
from neurohw.memristor.devices import Pcm
from neurohw.memristor.faults import HIGH, LOW, NONE, UNFORMED, Faults
from neurohw.memristor.mapping import Layout


def test_faults_have_their_fractions_and_no_device_has_two() -> None:
    codes = Faults(0.09, 0.02, 0.05).draw((400, 1000), np.random.default_rng(0))
    for code, fraction in ((LOW, 0.09), (HIGH, 0.02), (UNFORMED, 0.05), (NONE, 0.84)):
        # five standard deviations of a binomial
        assert np.mean(codes == code) == pytest.approx(
            fraction, abs=5 * np.sqrt(fraction * (1 - fraction) / 400_000)
        )
    assert set(
        np.unique(Faults(stuck_low=0.5, unformed=0.5).draw((999,), np.random.default_rng(1)))
    ) == {LOW, UNFORMED}
    assert (Faults(stuck_high=1.0).draw((99,), np.random.default_rng(1)) == HIGH).all()


def test_faulty_devices_stay_where_they_are() -> None:
    weight = np.random.default_rng(0).normal(size=(60, 50))
    column, row = np.mgrid[:60, :50]
    device = Pcm(g_min_microsiemens=1.0)
    crossbar = program_crossbar(
        weight,
        Layout("w", row, column, 50, 60),
        device,
        np.random.default_rng(1),
        faults=Faults(0.2, 0.2, 0.2),
    )
    codes = crossbar.cells.faults
    assert codes is not None
    for rng in (None, np.random.default_rng(2)):
        for seconds in (0.0, 1e6):
            cells, _ = crossbar.conductances(seconds, rng)
            for code, value in ((LOW, 1.0), (HIGH, 25.0), (UNFORMED, 0.0)):
                assert (cells[codes == code] == value).all()
            assert np.unique(cells[codes == NONE]).size > 1000
    _, variance, _ = crossbar.read_moments(1e6)
    assert variance is not None
    np.testing.assert_array_equal(variance == 0, (codes != NONE).all(axis=0))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12])
def test_converters_round_to_the_nearest_code_and_clip(bits: int) -> None:
    x = np.random.default_rng(bits).normal(size=2000) * 3
    for convert, low, codes in (
        (convert_signed, -2.0, max(2**bits - 1, 3)),
        (convert_unsigned, 0.0, 2**bits),
    ):
        y = convert(x, 2.0, bits)
        spacing = (2.0 - low) / (codes - 1)
        assert len(np.unique(y)) <= codes and y.min() >= low and y.max() == 2.0
        inside = (x >= low) & (x <= 2.0)
        assert np.abs(y - x)[inside].max() <= spacing / 2 + 1e-12
        assert (y[x > 2.0] == 2.0).all() and (y[x < low] == low).all()
        np.testing.assert_allclose(convert(y, 2.0, bits), y, atol=1e-15)
        assert convert(np.zeros(1), 2.0, bits)[0] == 0
        np.testing.assert_array_equal(convert(x, 0.0, bits), x)


def test_calibration_takes_a_percentile_of_what_is_there() -> None:
    values = np.concatenate([np.zeros(1000), np.arange(1, 101), -np.arange(1, 101)]).astype(float)
    assert calibrated_range(Converter(8, 100), values, "x") == 100
    assert calibrated_range(Converter(8, 50), values, "x") == pytest.approx(50.5)
    assert calibrated_range(Converter(), np.zeros(3), "x") == 0
    with pytest.raises(InvalidData, match="projection 'a': no values"):
        calibrated_range(Converter(), np.zeros(0), "projection 'a'")


def test_what_makes_no_sense_is_refused() -> None:
    for wrong in (
        {"stuck_low": -0.1},
        {"stuck_low": 0.6, "stuck_high": 0.5},
        {"unformed": float("nan")},
    ):
        with pytest.raises(InvalidModel, match="probabilities|Faults.* in 0..1"):
            Faults(**wrong)
    with pytest.raises(InvalidModel, match="bits must be a whole number, in 1..24, not 0"):
        Converter(0)
    with pytest.raises(InvalidModel, match="percentile"):
        Converter(8, 0.0)
