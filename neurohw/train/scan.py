# SPDX-License-Identifier: Apache-2.0
"""All steps of a population as one operator: the scan of `functional.lif_step` in C++ (`scan.cpp`)
or, on a GPU, in Triton (`scan_triton.py`), with its gradient.

It reads the currents once and writes the spikes and u - threshold, from which the gradient is made;
PyTorch alone keeps several tensors per step. Spikes and membranes are those of the scan in PyTorch
to the last bit, gradients to rounding. The operators are `torch.ops.neurohw.lif_scan` and
`lif_scan_gradient`, registered with PyTorch, so that compiling, autocast and data parallelism see
them as any other.
"""

import ctypes
import functools
import importlib
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from neurohw.errors import MissingTool
from neurohw.native_library import FLAGS, compiled
from neurohw.neurons import Adaptation, Astrocyte, Integrator, Lif, as_lif
from neurohw.support import Implements, attributes
from neurohw.train.functional import Constants
from neurohw.train.surrogate import SLOPES

SOURCE = Path(__file__).with_name("scan.cpp")
RESETS = ("none", "soft", "hard", "late")  # late: soft, one step after the spike
# no fused multiply-add: spikes to the last bit
EXACT = ("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
# what the operators and `neuron.h` compute; `usable` looks at combinations
IMPLEMENTS = Implements(
    "lif_scan",
    {
        Lif: attributes(
            "decay threshold v_reset synapse_decay refractory adaptation strict delayed_reset "
            "membrane_bias integrates_refractory",
            reset=("soft", "hard", "none"),
            delayed_current=(False,),
            clears_current=(False,),
        ),
        Adaptation: attributes("decay strength"),
        Integrator: attributes("decay synapse_decay"),
        Astrocyte: attributes("decay synapse_decay"),
    },
)
CODES = {torch.float32: "float", torch.float64: "double"}


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled operators, or None, with a warning, without a compiler."""
    try:
        return compiled(SOURCE, (*FLAGS, *EXACT))
    except MissingTool as error:
        warnings.warn(
            f"{error}; populations are trained step by step in PyTorch, several times slower",
            stacklevel=2,
        )
        return None


@functools.cache
def _triton() -> ModuleType | None:
    """The kernels for a GPU, or None, with a warning, without Triton."""
    try:
        return importlib.import_module("neurohw.train.scan_triton")
    except ImportError as error:
        warnings.warn(
            (
                f"Triton cannot be imported ({error}): install neurohw[gpu]; populations on a "
                "GPU are trained step by step in PyTorch, with a dozen kernels per step"
            ),
            stacklevel=2,
        )
        return None


def _address(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None or not tensor.numel() else tensor.data_ptr())


def _numbers(
    shape: torch.Size, refractory: int, integrates: bool, strict: bool, through_reset: bool
) -> Any:
    return (ctypes.c_int64 * 7)(*shape, refractory, integrates, strict, through_reset)


@torch.library.custom_op("neurohw::lif_scan", mutates_args=(), device_types="cpu")
def lif_scan(
    currents: Tensor,
    constants: Tensor,
    reset: int,
    surrogate: int,
    slope: float,
    refractory: int,
    integrates: bool,
    strict: bool,
    through_reset: bool,
    membrane: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes, u - threshold (not a number in refractory steps) and, if wanted, membranes after the
    reset, each like currents [time, sample, neuron].

    constants [6, neuron]: decay, synapse_decay, threshold, v_reset, adaptation_decay,
    adaptation_strength.
    reset: index into RESETS;
    surrogate: index into SURROGATES;
    integrates: `Lif.integrates_refractory`.
    """
    library = _library()
    assert library is not None
    currents, constants = currents.contiguous(), constants.contiguous()
    spikes, above = torch.empty_like(currents), torch.empty_like(currents)
    v = torch.empty_like(currents) if membrane else currents.new_empty(0)
    getattr(library, f"neurohw_scan_{CODES[currents.dtype]}")(
        _numbers(currents.shape, refractory, integrates, strict, through_reset),
        ctypes.c_int64(reset),
        ctypes.c_double(slope),
        *(_address(t) for t in (constants, currents, spikes, above, v)),
        ctypes.c_int32(torch.get_num_threads()),
    )
    return spikes, above, v


@torch.library.custom_op("neurohw::lif_scan_gradient", mutates_args=(), device_types="cpu")
def lif_scan_gradient(
    above: Tensor,
    constants: Tensor,
    by_spikes: Tensor | None,
    by_membrane: Tensor | None,
    reset: int,
    surrogate: int,
    slope: float,
    refractory: int,
    integrates: bool,
    strict: bool,
    through_reset: bool,
) -> Tensor:
    """The gradient by the currents [time, sample, neuron] from those by spikes and membranes;
    arguments as in `lif_scan`.
    """
    library = _library()
    assert library is not None
    constants = constants.contiguous()
    by_spikes = by_spikes.contiguous() if by_spikes is not None else None
    by_membrane = by_membrane.contiguous() if by_membrane is not None else None
    result = torch.empty_like(above)
    getattr(library, f"neurohw_scan_gradient_{CODES[above.dtype]}")(
        _numbers(above.shape, refractory, integrates, strict, through_reset),
        ctypes.c_int64(reset),
        ctypes.c_int64(surrogate),
        ctypes.c_double(slope),
        *(_address(t) for t in (constants, above, by_spikes, by_membrane, result)),
        ctypes.c_int32(torch.get_num_threads()),
    )
    return result


@lif_scan.register_kernel("cuda")
def _(currents: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    kernels = _triton()
    assert kernels is not None
    result: tuple[Tensor, Tensor, Tensor] = kernels.lif_scan(currents, *arguments)
    return result


@lif_scan_gradient.register_kernel("cuda")
def _(above: Tensor, *arguments: Any) -> Tensor:
    kernels = _triton()
    assert kernels is not None
    result: Tensor = kernels.lif_scan_gradient(above, *arguments)
    return result


@lif_scan.register_fake
def _(currents: Tensor, constants: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    like = torch.empty_like(currents, memory_format=torch.contiguous_format)
    v = torch.empty_like(like) if arguments[-1] else currents.new_empty(0)
    return like, torch.empty_like(like), v


@lif_scan_gradient.register_fake
def _(above: Tensor, *arguments: Any) -> Tensor:
    return torch.empty_like(above)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    _, constants, *ctx.arguments, ctx.membrane = inputs
    ctx.save_for_backward(output[1], constants)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)


def _back(ctx: Any, by_spikes: Tensor | None, _: Tensor | None, by_membrane: Tensor | None) -> Any:
    above, constants = ctx.saved_tensors
    by_membrane = by_membrane if ctx.membrane else None
    gradient = lif_scan_gradient(above, constants, by_spikes, by_membrane, *ctx.arguments)
    return gradient, *(None,) * 9


lif_scan.register_autograd(_back, setup_context=_keep)


def _unknown(neuron: Lif | Integrator, currents: Tensor, detach_reset: bool) -> str | None:
    """What the operator does not know of a neuron model and its currents, or None."""
    if currents.dtype not in CODES:
        return f"currents of {currents.dtype}"
    if type(neuron) not in IMPLEMENTS.nodes:
        return type(neuron).__name__
    if isinstance(neuron, Lif):
        if neuron.delayed_current or neuron.clears_current:
            return "delayed_current or clears_current"
        if neuron.delayed_reset and (
            neuron.reset != "soft" or neuron.adaptation is not None or not detach_reset
        ):
            return "delayed_reset that is not soft, adapts or passes a gradient"
        if neuron.membrane_bias and neuron.synapse_decay is not None:
            return "membrane_bias beside a synaptic current"
        if neuron.adaptation is not None and not detach_reset:
            return "a gradient through the reset of an adaptive threshold"
    return None


@functools.cache
def _warn_of(unknown: str) -> None:
    warnings.warn(
        (
            f"the kernel for a GPU has no {unknown}: PyTorch trains such a population step by "
            "step, with a dozen kernels per step"
        ),
        stacklevel=4,
    )


@torch.compiler.assume_constant_result
def _available(device: str) -> bool:
    """True where the operator has a kernel;

    PyTorch's compiler takes the answer and does not look inside.
    """
    return (_library() if device == "cpu" else _triton()) is not None


def usable(neuron: Lif | Integrator, currents: Tensor, detach_reset: bool) -> bool:
    """True where the operator knows the neuron model, and runs: float32 or float64, on the
    processor with a compiler or on a GPU with Triton.

    On a GPU, where steps in PyTorch cost most, a warning says once for each kind what the operator
    does not know.
    """
    device, unknown = currents.device.type, _unknown(neuron, currents, detach_reset)
    if device == "cuda" and unknown is not None:
        _warn_of(unknown)
    if unknown is not None or device not in ("cpu", "cuda"):
        return False
    return _available(device)


def reset_code(neuron: Lif) -> int:
    """The reset of a neuron model, as an index into RESETS."""
    return RESETS.index("late" if neuron.delayed_reset else neuron.reset)


def constant_rows(
    neuron: Lif | Integrator, constants: Constants, like: Tensor, neurons: int
) -> Tensor:
    """The constants [6, neuron] of `lif_scan`, of the dtype and device of `like`.

    An Integrator is a neuron whose threshold is infinite.
    """

    def row(value: float | Tensor | None) -> Tensor:
        filled = (
            value.to(like)
            if isinstance(value, Tensor)
            else like.new_full((), 0.0 if value is None else value)
        )
        return filled.expand(neurons)

    threshold = constants.threshold if neuron.spiking else torch.inf
    values = (constants.decay, constants.synapse_decay, threshold, constants.v_reset)
    rises = (constants.adaptation_decay, constants.adaptation_strength)
    return torch.stack([row(value) for value in (*values, *rises)]).detach()


def fast_scan(
    neuron: Lif | Integrator,
    constants: Constants,
    currents: Tensor,
    surrogate: str,
    slope: float | None,
    detach_reset: bool,
    membrane: bool,
) -> tuple[Tensor, Tensor]:
    """Spikes and membranes [time, sample, neuron] of a population from rest; membranes are empty
    unless wanted.

    Only for what is `usable`; Unsupported for a neuron that `IMPLEMENTS` does not name.
    """
    if not torch.compiler.is_compiling():  # the module that is compiled has looked already
        IMPLEMENTS.refuse("neuron", neuron)
    rows = constant_rows(neuron, constants, currents, currents.shape[2])
    lif = as_lif(neuron)
    if lif.membrane_bias:
        currents = currents + constants.membrane_bias
    slopes = list(SLOPES)
    spikes, _, v = lif_scan(
        currents,
        rows,
        reset_code(lif),
        slopes.index(surrogate),
        SLOPES[surrogate] if slope is None else slope,
        lif.refractory,
        lif.integrates_refractory,
        lif.strict,
        not detach_reset,
        membrane,
    )
    return spikes, v
