# SPDX-License-Identifier: Apache-2.0
"""The exact solutions against a dense one written from Kirchhoff's law, and the approximations
against the exact ones.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from neurohw.errors import InvalidModel
from neurohw.memristor.wires import (
    Wires,
    alone,
    column_currents,
    effective_conductances,
    first_order,
)

Floats = NDArray[np.float64]


def dense_currents(microsiemens: Floats, volts: Floats, ohm: float) -> Floats:
    """Currents into the sense amplifiers, microamperes: every node an unknown, every element
    stamped by itself.
    """
    rows, columns = microsiemens.shape
    nodes = 2 * rows * columns
    system, right = np.zeros((nodes, nodes)), np.zeros(nodes)

    def node(layer: int, i: int, j: int) -> int:
        return (layer * rows + i) * columns + j

    def element(a: int, b: int, siemens: float) -> None:
        system[[a, b], [a, b]] += siemens
        system[[a, b], [b, a]] -= siemens

    for i in range(rows):
        for j in range(columns):
            element(node(0, i, j), node(1, i, j), microsiemens[i, j] * 1e-6)
            if j + 1 < columns:
                element(node(0, i, j), node(0, i, j + 1), 1 / ohm)
            if i + 1 < rows:
                element(node(1, i, j), node(1, i + 1, j), 1 / ohm)
    held = {node(0, i, 0): volts[i] for i in range(rows)} | {
        node(1, 0, j): 0.0 for j in range(columns)
    }
    free = [n for n in range(nodes) if n not in held]
    known = np.zeros(nodes)
    known[list(held)] = list(held.values())
    right = -system[np.ix_(free, list(held))] @ known[list(held)]
    known[free] = np.linalg.solve(system[np.ix_(free, free)], right)
    # what flows into the held node of each column
    return np.array([-system[node(1, 0, j)] @ known * 1e6 for j in range(columns)])


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2), (7, 5), (12, 16)])
@pytest.mark.parametrize("ohm", [0.01, 1.0, 300.0])
def test_exact_solutions_equal_a_dense_one(shape: tuple[int, int], ohm: float) -> None:
    rng = np.random.default_rng(shape[0] * 100 + shape[1])
    for _ in range(3):
        g = rng.uniform(0, 200, shape) * (rng.random(shape) < 0.8)
        volts = rng.normal(size=shape[0])
        expected = dense_currents(g, volts, ohm)
        scale = max(np.abs(g).sum(), 1e-9)
        np.testing.assert_allclose(
            column_currents(g, volts, ohm), expected, rtol=1e-9, atol=1e-12 * scale
        )
        np.testing.assert_allclose(
            volts @ effective_conductances(g, ohm), expected, rtol=1e-9, atol=1e-12 * scale
        )


def test_without_resistance_nothing_is_lost() -> None:
    rng = np.random.default_rng(0)
    g, volts = rng.uniform(0, 25, (5, 4)), rng.normal(size=5)
    np.testing.assert_array_equal(column_currents(g, volts, 0.0), volts @ g)
    for function in (effective_conductances, first_order, alone):
        np.testing.assert_array_equal(function(g, 0.0), g)


def test_the_formula_of_one_device_is_exact_for_one_device() -> None:
    for i, j in ((0, 0), (3, 0), (0, 4), (5, 6), (7, 7)):
        g = np.zeros((8, 8))
        g[i, j] = 100.0
        exact = effective_conductances(g, 50.0)
        for approximation in (alone, first_order):
            np.testing.assert_allclose(approximation(g, 50.0), exact, rtol=1e-9, atol=1e-12)
        assert exact[i, j] == pytest.approx(100.0 / (1 + 100e-6 * 50.0 * (i + j)), rel=1e-12)


def test_the_first_order_is_the_first_order() -> None:
    g = np.random.default_rng(1).uniform(5, 25, (24, 20))
    volts = np.ones(24)

    def error(ohm: float, approximation: object) -> float:
        exact = column_currents(g, volts, ohm)
        return float(np.abs(approximation(g, ohm).T @ volts - exact).max() / np.abs(exact).max())

    # halving r quarters the error of the first order and only halves that of a device that does not
    # know of the others
    assert error(0.5, first_order) / error(0.25, first_order) == pytest.approx(4, rel=0.05)
    assert error(0.5, alone) / error(0.25, alone) == pytest.approx(2, rel=0.05)
    assert error(0.25, first_order) < error(0.25, alone) / 100


def test_both_exact_solutions_agree_on_a_tile() -> None:
    rng = np.random.default_rng(2)
    g, volts = rng.uniform(0, 25, (96, 128)), rng.random(96)
    np.testing.assert_allclose(
        volts @ effective_conductances(g, 2.0), column_currents(g, volts, 2.0), rtol=1e-9
    )


def test_wires_lose_more_the_farther_a_device_is() -> None:
    g = np.full((32, 32), 20.0)
    for effective in (Wires(1.0).effective(g), Wires(1.0, "exact").effective(g)):
        assert (np.diff(effective, axis=0) < 0).all() and (np.diff(effective, axis=1) < 0).all()
        assert effective[0, 0] == pytest.approx(20.0, rel=0.02) and effective.min() > 0


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidModel, match="segment_ohm must be a number, 0 or more, not -1"):
        Wires(-1.0)
    with pytest.raises(InvalidModel, match="'first_order' or 'exact', not 'spice'"):
        Wires(1.0, "spice")  # type: ignore[arg-type]
