# SPDX-License-Identifier: Apache-2.0
"""A population whose step is `neurohw.step.advance`: soft, hard or no reset, refractory steps,
adaptation, every convention, and what astrocytes do.
"""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neurohw.engines.lava.planning import Levels
from neurohw.modulation import spread
from neurohw.neurons import Astrocyte, Integrator, Lif
from neurohw.step import Arithmetic, State, advance, letters

RECORDED = "vcra"


class SoftResetLIF(AbstractProcess):
    """Integrate-and-fire neurons in integers, by default with a soft reset.

    shape: (neurons,), or (samples * neurons,) for samples side by side.
    neuron: the neuron model and its conventions.
    arithmetic: its integer constants [neuron], decays and saturations.
    offset: step from which on the neurons live; before, they do not even feel their bias.
    recording: optional .npy file, int32 [array, step, neuron] with the spikes and the states v, c,
        r and a of every step from `offset` on.

    gain, rise: how the levels of an astrocyte, a SoftResetLIF, too, act: its m_out is connected to
        gain_in or rise_in.

    a_in: summed input, not shifted.
    s_out: 0 or 1.
    m_out: levels after the step, of an Astrocyte.
    v, c, r, a: the states of `neurohw.neurons`.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        neuron: Lif | Integrator,
        arithmetic: Arithmetic,
        offset: int = 0,
        recording: Path | None = None,
        gain: Levels | None = None,
        rise: Levels | None = None,
        **keywords: Any,
    ) -> None:
        acting = {"gain": gain, "rise": rise}
        super().__init__(
            shape=shape,
            neuron=neuron,
            arithmetic=arithmetic,
            offset=offset,
            recording=recording,
            acting=acting,
            **keywords,
        )
        samples = shape[0] // len(arithmetic.bias)
        domains = {
            name: 1 if levels is None else samples * len(levels.rest)
            for name, levels in acting.items()
        }
        self.a_in = InPort(shape=shape)
        self.gain_in = InPort(shape=(domains["gain"],))
        self.rise_in = InPort(shape=(domains["rise"],))
        self.s_out = OutPort(shape=shape)
        self.m_out = OutPort(shape=shape)
        self.v = Var(shape=shape, init=0)
        self.c = Var(shape=shape, init=0)
        self.r = Var(shape=shape, init=0)
        self.a = Var(shape=shape, init=0)


@implements(proc=SoftResetLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySoftResetLifModel(PyLoihiProcessModel):
    """The step in 64-bit integers, which no state leaves."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    gain_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    rise_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    m_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    v: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    c: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    r: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    a: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)

    def __init__(self, proc_params: dict[str, Any]) -> None:
        super().__init__(proc_params)
        self.neuron = proc_params["neuron"]
        self.arithmetic = proc_params["arithmetic"]
        self.offset = proc_params["offset"]
        self.neurons = len(self.arithmetic.bias)
        self.acting = {
            name: levels for name, levels in proc_params["acting"].items() if levels is not None
        }
        self.waiting = {
            name: deque([levels.rest] * levels.lag) for name, levels in self.acting.items()
        }
        path = proc_params["recording"]
        self.record = None if path is None else np.load(path, mmap_mode="r+")

    def _received(self, name: str) -> np.ndarray | None:
        """Gains or rises [sample, neuron] of this step, from the levels of the astrocyte after its
        step before; None without an astrocyte.
        """
        if name not in self.acting:
            return None
        levels, line = self.acting[name], self.waiting[name]
        line.append(getattr(self, f"{name}_in").recv())
        return spread(
            levels.integers.values(line.popleft().reshape(-1, len(levels.rest))), self.neurons
        )

    def _send_levels(self) -> None:
        if isinstance(self.neuron, Astrocyte):
            levels = self.v.reshape(-1, self.neurons) + self.arithmetic.offset
            self.m_out.send(levels.ravel().astype(np.int64))

    def run_spk(self) -> None:
        arriving = self.a_in.recv()
        step = self.time_step - 1 - self.offset
        gain, rise = self._received("gain"), self._received("rise")
        if step < 0:
            self.s_out.send(np.zeros(arriving.shape, np.int32))
            self._send_levels()
            return
        state = State(*(getattr(self, name).reshape(-1, self.neurons) for name in RECORDED))
        currents = arriving.astype(np.int64).reshape(-1, self.neurons)
        spikes = advance(self.neuron, self.arithmetic, state, currents, gain, rise)
        for name in RECORDED:
            getattr(self, name)[:] = getattr(state, name).reshape(arriving.shape)
        self._send_levels()
        fired = spikes.reshape(arriving.shape).astype(np.int32)
        self.s_out.send(fired)
        if self.record is not None and step < self.record.shape[1]:
            self.record[0, step] = fired
            if len(self.record) > 1:
                for row, name in enumerate(letters(self.neuron), start=1):
                    self.record[row, step] = getattr(self, name)
