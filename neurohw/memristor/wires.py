# SPDX-License-Identifier: Apache-2.0
"""Resistance of the wires of a tile.

Rows are driven at column 0 and columns are held at 0 V, and their current is measured, at row 0;
between neighbouring devices of a wire lies one segment of r ohms. Device (i, j) is therefore j
segments from its driver and i from its sense amplifier. Kirchhoff's law at every node, with V of
row and U of column wires:

    (V[i,j] - V[i,j-1]) / r + (V[i,j] - V[i,j+1]) / r + G[i,j] (V[i,j] - U[i,j]) = 0
        and likewise for U

The network is linear, so that there is one matrix of effective conductances with  I[j] = sum_i
effective[i,j] v[i].

    column_currents           the currents of one input, exactly: conjugate gradients on the row
                              wires, whose preconditioner solves every row wire by itself
    effective_conductances    all of the matrix, exactly: column by column from the far end, one
                              inverse of [row, row] each
    first_order               G / (1 + r (sum_k min(j, k) G[i,k] + sum_k min(i, k) G[k,j])), all
                              devices with the same voltage
    alone                     G / (1 + G r (i + j)), exact for a device that conducts alone: what
                              others draw is not in it
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from neurohw.checks import at_least, check_fields
from neurohw.errors import NeurohwError

FloatArray = NDArray[np.float64]
SIEMENS = 1e-6  # per microsiemens


@dataclass(frozen=True)
class Wires:
    """segment_ohm: resistance r between neighbouring devices.

    method: how a chip takes it into account.
    """

    segment_ohm: float
    method: Literal["first_order", "exact"] = "first_order"

    def __post_init__(self) -> None:
        check_fields(self, segment_ohm=at_least(0))

    def effective(self, microsiemens: NDArray[Any]) -> FloatArray:
        """Effective conductances [row, column], microsiemens, of the devices of one tile."""
        method = first_order if self.method == "first_order" else effective_conductances
        return method(microsiemens, self.segment_ohm)


def alone(microsiemens: NDArray[Any], segment_ohm: float) -> FloatArray:
    """G / (1 + G r (i + j)) [row, column], microsiemens."""
    g = np.asarray(microsiemens, np.float64)
    i, j = np.ogrid[: g.shape[0], : g.shape[1]]
    return g / (1 + g * SIEMENS * segment_ohm * (i + j))


def first_order(microsiemens: NDArray[Any], segment_ohm: float) -> FloatArray:
    """Effective conductances [row, column], microsiemens, right to the first order in r where all
    rows have the same voltage.

    Of the voltage that a device loses on its row wire, each device k of the row is to blame for r
    min(j, k) times its current.
    """
    g = np.asarray(microsiemens, np.float64)
    load = g * SIEMENS * segment_ohm
    return g / (1 + _shared_segments(load) + _shared_segments(load.T).T)


def _shared_segments(load: FloatArray) -> FloatArray:
    """sum_k min(j, k) load[:, k] for every j: what flows through segment m is the sum over k >= m,
    and j is behind segments 1 ... j.
    """
    through = np.cumsum(load[:, ::-1], axis=1)[:, ::-1]
    through[:, 0] = 0  # the driver has no segment before it
    return np.cumsum(through, axis=1)


def _wire_factor(load: FloatArray) -> FloatArray:
    """Banded Cholesky factor of all wires at once: load [wire, node], in units of one segment; node
    0 is held and left out.
    """
    diagonal = load[:, 1:] + 2
    diagonal[:, -1] -= 1
    beside = np.full_like(diagonal, -1.0)
    beside[:, 0] = 0
    factor: FloatArray = scipy.linalg.cholesky_banded(
        np.stack([beside.ravel(), diagonal.ravel()]), check_finite=False
    )
    return factor


def _solve_wires(factor: FloatArray, current: FloatArray) -> FloatArray:
    """Voltages [wire, node 1 ...] under currents of the same shape."""
    flat = scipy.linalg.cho_solve_banded((factor, False), current.ravel(), check_finite=False)
    return np.asarray(flat).reshape(current.shape)


def column_currents(
    microsiemens: NDArray[Any], volts: NDArray[Any], segment_ohm: float
) -> FloatArray:
    """Currents [column], microamperes, of a tile [row, column] under row voltages [row], from the
    exact node equations.

    Raises NeurohwError if the iteration does not converge.
    """
    g, v = np.asarray(microsiemens, np.float64), np.asarray(volts, np.float64)
    rows, columns = g.shape
    if segment_ohm == 0:
        return v @ g
    load = g * SIEMENS * segment_ohm
    column_factor = _wire_factor(load.T.copy()) if rows > 1 else None

    def column_volts(row_volts: FloatArray) -> FloatArray:
        result = np.zeros((rows, columns))
        if column_factor is not None:
            result[1:] = _solve_wires(column_factor, (load * row_volts)[1:].T.copy()).T
        return result

    row_volts = np.repeat(v[:, None], columns, axis=1)
    if columns > 1:
        row_factor = _wire_factor(load)
        size = rows * (columns - 1)

        def out_of_nodes(x: FloatArray) -> FloatArray:
            inner = x.reshape(rows, columns - 1)
            full = np.concatenate([np.zeros((rows, 1)), inner], axis=1)
            wire = (load[:, 1:] + 2) * inner
            wire[:, -1] -= inner[:, -1]
            wire[:, :-1] -= inner[:, 1:]
            wire[:, 1:] -= inner[:, :-1]
            return (wire - (load * column_volts(full))[:, 1:]).ravel()

        held = np.zeros((rows, columns))
        held[:, 0] = v
        into = (load * column_volts(held))[:, 1:]
        into[:, 0] += v
        operator = scipy.sparse.linalg.LinearOperator(
            (size, size), matvec=out_of_nodes, dtype=np.float64
        )
        every_row = scipy.sparse.linalg.LinearOperator(
            (size, size),
            matvec=lambda y: _solve_wires(row_factor, y.reshape(rows, -1)).ravel(),
            dtype=np.float64,
        )
        inner, failed = scipy.sparse.linalg.cg(
            operator, into.ravel(), rtol=1e-13, M=every_row, maxiter=5000
        )
        if failed:
            raise NeurohwError(
                f"a tile of {rows} x {columns} with segments of {segment_ohm} ohm did not converge"
            )
        row_volts[:, 1:] = inner.reshape(rows, -1)
    return np.sum((row_volts - column_volts(row_volts)) * g, axis=0)


def _inverse(matrix: FloatArray) -> FloatArray:
    """Inverse of a symmetric positive definite matrix."""
    lower, _ = scipy.linalg.lapack.dpotrf(matrix, lower=1)
    inverse, _ = scipy.linalg.lapack.dpotri(lower, lower=1)
    low = np.tril(inverse)
    return low + np.tril(low, -1).T


def effective_conductances(microsiemens: NDArray[Any], segment_ohm: float) -> FloatArray:
    """The exact matrix [row, column], microsiemens, with which a tile multiplies its row voltages.

    In units of a segment's conductance, column j loads the rows with Y_j = D (1 + D L D)^-1 D,
    where D is the root of its conductances and L[i,k] = min(i, k); what the rows see to the right
    of column j is T_j = Y_j + T_j+1 (1 + T_j+1)^-1, and V_j+1 = (1 + T_j+1)^-1 V_j. No two nearly
    equal numbers are subtracted.
    """
    g = np.asarray(microsiemens, np.float64)
    if segment_ohm == 0:
        return g.copy()
    with threadpool_limits(1):  # small matrices one after another: threads only wait for each other
        return _eliminated(g * SIEMENS * segment_ohm) / (SIEMENS * segment_ohm)


def _eliminated(load: FloatArray) -> FloatArray:
    """Effective conductances [row, column] in units of a segment's conductance, as `load` is."""
    rows, columns = load.shape
    root = np.sqrt(load)
    one = np.eye(rows)
    common = np.minimum.outer(np.arange(rows), np.arange(rows)).astype(np.float64)
    # for voltages of the rows at the column where the loop is
    effective = np.empty((columns, rows))
    right = np.zeros((rows, rows))
    for j in range(columns - 1, -1, -1):
        d = root[:, j]
        column = d[:, None] * _inverse(one + d[:, None] * common * d) * d
        effective[j] = column.sum(axis=0)
        right = column + right
        if j:
            onward = _inverse(one + right)
            effective[j:] = effective[j:] @ onward
            right = right @ onward
            right = 0.5 * (right + right.T)
    return effective.T
