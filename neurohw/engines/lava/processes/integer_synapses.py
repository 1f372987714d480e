# SPDX-License-Identifier: Apache-2.0
"""Synapses with a delay each and any weight exponent, for several samples side by side."""

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

from neurohw.connections import Matrix, apply_matrix


class IntegerSynapses(AbstractProcess):
    """a[t] = sum over (delay, W) of W s[t - 1 - delay], times 2^exponent (exact: the sums must be
    multiples where it is negative).

    matrices: (delay, W [target, source]) in increasing order.
    samples: how many lie side by side in s_in and a_out.
    """

    def __init__(
        self,
        *,
        matrices: list[tuple[int, Matrix]],
        exponent: int = 0,
        samples: int = 1,
        **keywords: Any,
    ) -> None:
        super().__init__(matrices=matrices, exponent=exponent, samples=samples, **keywords)
        targets, sources = matrices[0][1].shape
        self.s_in = InPort(shape=(samples * sources,))
        self.a_out = OutPort(shape=(samples * targets,))
        self.a_buff = Var(shape=(matrices[-1][0] + 1, samples * targets), init=0)


@implements(proc=IntegerSynapses, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyIntegerSynapsesModel(PyLoihiProcessModel):
    """Sends what was gathered up to the step before, then takes the new spikes, as Lava's Dense
    does, so that loops do not block.
    """

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    a_buff: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)

    def __init__(self, proc_params: dict[str, Any]) -> None:
        super().__init__(proc_params)
        # float64 products go through BLAS and are exact: a sum has at most 31 bits
        self.matrices = [
            (delay, matrix.astype(np.float64) if isinstance(matrix, np.ndarray) else matrix)
            for delay, matrix in proc_params["matrices"]
        ]
        self.exponent = proc_params["exponent"]
        self.samples = proc_params["samples"]

    def run_spk(self) -> None:
        depth = len(self.a_buff)
        now = (self.time_step - 1) % depth
        self.a_out.send(self.a_buff[now].astype(np.int32))
        self.a_buff[now] = 0
        spikes = self.s_in.recv().reshape(self.samples, -1)
        for delay, matrix in self.matrices:
            total = apply_matrix(matrix, spikes).astype(np.int64).ravel()
            shifted = total << self.exponent if self.exponent >= 0 else total >> -self.exponent
            self.a_buff[(now + 1 + delay) % depth] += shifted
