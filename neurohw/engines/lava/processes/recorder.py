# SPDX-License-Identifier: Apache-2.0
"""Spikes and states of a Lava LIF, written to a file: reading a Lava Var value by value from
outside is slow.
"""

from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class LifRecorder(AbstractProcess):
    """Writes `recording`, a .npy file int32 [array, step, neuron], from step `offset` on: the
    spikes, and v and u if it has three arrays.
    """

    def __init__(
        self, *, shape: tuple[int, ...], offset: int, recording: Path, **keywords: Any
    ) -> None:
        super().__init__(shape=shape, offset=offset, recording=recording, **keywords)
        self.s_in = InPort(shape=shape)
        self.v = RefPort(shape=shape)
        self.u = RefPort(shape=shape)


@implements(proc=LifRecorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyLifRecorderModel(PyLoihiProcessModel):
    """Takes spikes while they are sent, states after the step."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    v: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    u: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: dict[str, Any]) -> None:
        super().__init__(proc_params)
        self.offset = proc_params["offset"]
        self.record = np.load(proc_params["recording"], mmap_mode="r+")

    def _step(self) -> int:
        return int(self.time_step) - 1 - self.offset

    def run_spk(self) -> None:
        spikes = self.s_in.recv()
        if 0 <= self._step() < self.record.shape[1]:
            self.record[0, self._step()] = spikes

    def post_guard(self) -> bool:
        return len(self.record) > 1

    def run_post_mgmt(self) -> None:
        v, u = self.v.read(), self.u.read()
        if 0 <= self._step() < self.record.shape[1]:
            self.record[1, self._step()], self.record[2, self._step()] = v, u
