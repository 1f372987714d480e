"""A population with the projection that feeds it, and the one on itself, as one operator in C++ (`layer.cpp`): what `scan.py` and `events.py` do, in one pass.

    I[t] = bias + W s_source[t - d] + R s[t - r]          s, v: one step of the neurons, see `neurohw.train.functional`

Currents are never kept: the forward pass writes spikes and u - threshold, the backward pass makes the gradients by the spikes of the source, by W, R and bias in one
pass over a block of samples. Spikes of the source are kept as events. float32 on the processor, with a compiler; `SpikingModule` takes it where it
knows the neuron model, the projections are dense and the source is sparse enough, and else PyTorch's own operators around `lif_scan`. Spikes and membranes are those of these,
to the last bit; gradients to rounding.
"""

import ctypes
import functools
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neurohw.errors import MissingTool
from neurohw.native_library import FLAGS, compiled
from neurohw.neurons import Integrator, Lif
from neurohw.train.events import LINE, Events, address, find_events, padded
from neurohw.train.functional import Constants
from neurohw.train.scan import constant_rows, reset_code, usable
from neurohw.train.surrogate import SLOPES

SOURCE = Path(__file__).with_name("layer.cpp")


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled operator, or None without a compiler: `scan.usable` warns."""
    try:
        return compiled(SOURCE, (*FLAGS, "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"))
    except MissingTool:
        return None


class _Projection(ctypes.Structure):
    """`LayerEvents` of layer.cpp."""

    _fields_ = [
        ("first", ctypes.c_void_p),
        ("source", ctypes.c_void_p),
        ("value", ctypes.c_void_p),
        ("sources", ctypes.c_int64),
        ("delay", ctypes.c_int64),
    ]


class _Layer(ctypes.Structure):
    """`Layer` of layer.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("steps", "samples", "neurons", "reset", "surrogate", "refractory")),
        *((name, ctypes.c_int64) for name in ("integrates", "strict", "through_reset")),
        ("slope", ctypes.c_double),
        ("constants", ctypes.c_void_p),
        ("feed", _Projection),
        ("loop", _Projection),
        *((name, ctypes.c_void_p) for name in ("feed_weight", "loop_weight", "bias", "current")),
        ("threads", ctypes.c_int32),
    ]


class Options(NamedTuple):
    """What the operator knows of a population besides its numbers."""

    delay: int
    loop_delay: int
    reset: int
    surrogate: int
    slope: float
    refractory: int
    integrates: bool
    strict: bool
    through_reset: bool
    membrane: bool
    differentiates: bool


def _filled(shape: tuple[int, int, int], constants: Tensor, options: Options) -> _Layer:
    """The structure, without projections, bias and currents."""
    return _Layer(
        steps=shape[0],
        samples=shape[1],
        neurons=shape[2],
        reset=options.reset,
        surrogate=options.surrogate,
        slope=options.slope,
        refractory=options.refractory,
        integrates=options.integrates,
        strict=options.strict,
        through_reset=options.through_reset,
        constants=address(constants),
        threads=torch.get_num_threads(),
    )


def _projection(events: Events | None, sources: int, delay: int) -> _Projection:
    if events is None:
        return _Projection(sources=sources, delay=delay)
    return _Projection(*(address(t) for t in events), sources, delay)


def _of_targets(by_source: Tensor | None, neurons: int) -> Tensor | None:
    """The gradient by a weight [target, source] from the sums [source, padded target]."""
    return None if by_source is None else by_source[:, :neurons].T.contiguous()


class _Function(torch.autograd.Function):
    """spikes, membranes = layer(...), with the events of the source found beforehand."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        current: Tensor | None,
        spikes: Tensor | None,
        weight: Tensor | None,
        loop: Tensor | None,
        bias: Tensor | None,
        events: Events | None,
        constants: Tensor,
        shape: tuple[int, int, int],
        options: Options,
    ) -> tuple[Tensor, Tensor]:
        library = _library()
        assert library is not None
        native = _filled(shape, constants, options)
        kept = [  # alive while C++ reads them
            None if current is None else current.contiguous(),
            None if weight is None else padded(weight.T),
            None if loop is None else padded(loop.T),
            None if bias is None else padded(bias),
        ]
        native.current, native.feed_weight, native.loop_weight, native.bias = (address(t) for t in kept)
        native.feed = _projection(events, 0 if weight is None else weight.shape[1], options.delay)
        native.loop = _projection(None, 0 if loop is None else shape[2], options.loop_delay)
        fired = torch.empty(shape)
        above = torch.empty(shape) if options.differentiates and any(ctx.needs_input_grad) else None
        v = torch.empty(shape) if options.membrane else torch.empty(0)
        library.neurohw_layer(ctypes.byref(native), address(fired), address(above), address(v))
        if above is not None:
            own = find_events(fired, densest=1.0) if loop is not None else None
            ctx.save_for_backward(above, constants, weight, loop, *(events or ()), *(own or ()))
            ctx.shape, ctx.options, ctx.has_events = shape, options, events is not None
        ctx.set_materialize_grads(False)
        return fired, v

    @staticmethod
    def backward(ctx: Any, by_spikes: Tensor | None, by_membrane: Tensor | None) -> Any:  # type: ignore[override]
        above, constants, weight, loop, *rest = ctx.saved_tensors
        shape, options = ctx.shape, ctx.options
        events = Events(*rest[:3]) if ctx.has_events else None
        own = Events(*rest[-3:]) if loop is not None else None
        native = _filled(shape, constants, options)
        native.feed = _projection(events, 0 if weight is None else weight.shape[1], options.delay)
        native.loop = _projection(own, 0 if own is None else shape[2], options.loop_delay)
        stride = constants.shape[1]
        by_current, by_source, by_weight, by_loop, by_bias = (
            torch.empty(size) if wanted else None
            for wanted, size in zip(
                ctx.needs_input_grad[:5],
                (
                    shape,
                    (*shape[:2], native.feed.sources),
                    (native.feed.sources, stride),
                    (shape[2], stride),
                    (stride,),
                ),
                strict=True,
            )
        )
        if by_source is not None and options.delay:
            by_source.zero_()  # the last steps reach nobody
        given = [None if t is None else t.contiguous() for t in (weight, loop, above, by_spikes, by_membrane)]
        if not options.membrane:
            given[-1] = None
        library = _library()
        assert library is not None
        results = (by_current, by_source, by_weight, by_loop, by_bias)
        library.neurohw_layer_gradient(ctypes.byref(native), *(address(t) for t in (*given, *results)))
        gradients = (by_current, by_source, _of_targets(by_weight, shape[2]), _of_targets(by_loop, shape[2]))
        return (*gradients, None if by_bias is None else by_bias[: shape[2]], *(None,) * 4)


class Feed(NamedTuple):
    """The projection that feeds a population: spikes [time, sample, source] and their events, weight [target, source], steps of delay."""

    spikes: Tensor
    events: Events
    weight: Tensor
    delay: int


class Loop(NamedTuple):
    """The projection of a population on itself: weight [target, source], steps of delay, 1 at least."""

    weight: Tensor
    delay: int


def known(neuron: Lif | Integrator, like: Tensor, detach_reset: bool) -> bool:
    """True where the operator runs: float32 on the processor with a compiler, a neuron model that `lif_scan` knows, and not while PyTorch compiles."""
    plain = like.dtype == torch.float32 and like.device.type == "cpu" and not torch.compiler.is_compiling()
    return plain and usable(neuron, like, detach_reset) and _library() is not None


def run_layer(
    neuron: Lif | Integrator,
    constants: Constants,
    feed: Feed | None,
    loop: Loop | None,
    bias: Tensor | None,
    currents: Tensor | None,
    surrogate: tuple[str, float | None],
    detach_reset: bool,
    membrane: bool,
) -> tuple[Tensor, Tensor]:
    """Spikes and membranes [time, sample, neuron] of a population from rest; membranes are empty unless wanted.

    Either currents [time, sample, neuron], which hold everything but the loop, or a feed and a bias [neuron]. Only for a neuron model that is `known`.
    """
    lif = neuron if isinstance(neuron, Lif) else Lif(reset="none")
    name, slope = surrogate
    like = currents if feed is None else feed.spikes
    assert like is not None
    neurons = like.shape[2] if feed is None else feed.weight.shape[0]
    shape = (like.shape[0], like.shape[1], neurons)
    rows = constant_rows(neuron, constants, like, neurons)
    rest = torch.zeros(6, -neurons % LINE)
    rest[2] = torch.inf  # neurons that fill the last line never fire
    options = Options(
        feed.delay if feed else 0,
        loop.delay if loop else 0,
        reset_code(lif),
        list(SLOPES).index(name),
        SLOPES[name] if slope is None else slope,
        lif.refractory,
        lif.integrates_refractory,
        lif.strict,
        not detach_reset,
        membrane,
        torch.is_grad_enabled(),
    )
    result: tuple[Tensor, Tensor] = _Function.apply(  # type: ignore[no-untyped-call]
        currents,
        feed.spikes if feed else None,
        feed.weight if feed else None,
        loop.weight if loop else None,
        bias,
        feed.events if feed else None,
        torch.cat([rows, rest], 1),
        shape,
        options,
    )
    return result
