"""A population whose step is `neurohw.step.advance`: soft, hard or no reset, refractory steps, adaptation and every convention."""

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

from neurohw.neurons import Integrator, Lif
from neurohw.step import Arithmetic, State, advance, letters

RECORDED = "vcra"


class SoftResetLIF(AbstractProcess):
    """Integrate-and-fire neurons in integers, by default with a soft reset.

    shape: (neurons,), or (samples * neurons,) for samples side by side. neuron: the neuron model and its conventions. arithmetic: its
    integer constants [neuron], decays and saturations. offset: step from which on the neurons live; before, they do not even feel their bias.
    recording: optional .npy file, int32 [array, step, neuron] with the spikes and the states v, c, r and a of every step from `offset` on.

    a_in: summed input, not shifted. s_out: 0 or 1. v, c, r, a: the states of `neurohw.neurons`.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        neuron: Lif | Integrator,
        arithmetic: Arithmetic,
        offset: int = 0,
        recording: Path | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(
            shape=shape, neuron=neuron, arithmetic=arithmetic, offset=offset, recording=recording, **keywords
        )
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
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
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
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
        path = proc_params["recording"]
        self.record = None if path is None else np.load(path, mmap_mode="r+")

    def run_spk(self) -> None:
        arriving = self.a_in.recv()
        step = self.time_step - 1 - self.offset
        if step < 0:
            self.s_out.send(np.zeros(arriving.shape, np.int32))
            return
        state = State(*(getattr(self, name).reshape(-1, self.neurons) for name in RECORDED))
        spikes = advance(self.neuron, self.arithmetic, state, arriving.astype(np.int64).reshape(-1, self.neurons))
        for name in RECORDED:
            getattr(self, name)[:] = getattr(state, name).reshape(arriving.shape)
        fired = spikes.reshape(arriving.shape).astype(np.int32)
        self.s_out.send(fired)
        if self.record is not None and step < self.record.shape[1]:
            self.record[0, step] = fired
            if len(self.record) > 1:
                for row, name in enumerate(letters(self.neuron), start=1):
                    self.record[row, step] = getattr(self, name)
