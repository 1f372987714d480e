# SPDX-License-Identifier: Apache-2.0
"""How a projection connects its source to its target: the weight array's shape, and the matrix that
it stands for.

    Dense         weight [target, source]
    Sparse        weight [synapse], with `source` and `target` [synapse] naming the ends
    Convolution   weight [channel, input channel / groups, row, column], shared by all positions (a
                  cross-correlation, as in PyTorch);
                  neurons are numbered [channel, row, column]

`delay_matrices` turns any of them into matrices [target, source], one per delay: the meaning of a
projection for every engine.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from neurohw.checks import at_least, check_fields, whole
from neurohw.errors import InvalidModel, Unsupported
from neurohw.support import attributes

AnyArray = NDArray[Any]
Matrix = Any  # an array [target, source], or scipy.sparse.csr_array: scipy has no types


@dataclass(frozen=True)
class Dense:
    """Every source neuron reaches every target neuron."""

    def weight_shape(self, sources: int, targets: int) -> tuple[int, ...]:
        """[target, source]."""
        return (targets, sources)

    def check(self, sources: int, targets: int, node: str) -> None:
        """A dense projection fits any two populations."""


@dataclass(frozen=True)
class Sparse:
    """`synapses` synapses, whose ends are the arrays `<projection>.source` and
    `<projection>.target`.
    """

    synapses: int

    def __post_init__(self) -> None:
        check_fields(self, synapses=at_least(1))

    def weight_shape(self, sources: int, targets: int) -> tuple[int, ...]:
        """[synapse]."""
        return (self.synapses,)

    def check(self, sources: int, targets: int, node: str) -> None:
        """The ends are checked with the arrays."""


def _pair(value: Any, name: str, least: int) -> tuple[int, int]:
    try:
        vertical, horizontal = value if np.ndim(value) else (value, value)
    except (TypeError, ValueError):
        raise InvalidModel(
            f"Convolution.{name} is one whole number or (vertical, horizontal), not {value!r}"
        ) from None
    limits = at_least(least)
    return whole(f"Convolution.{name}", vertical, limits), whole(
        f"Convolution.{name}", horizontal, limits
    )


@dataclass(frozen=True)
class Convolution:
    """A two-dimensional convolution; one dimension is a height of 1.

    input_shape: (channels, height, width) of the source.
    channels: of the target. kernel, stride, padding (zeros on both sides), dilation: one number or
        (vertical, horizontal).
    groups: as in PyTorch.
    Raises InvalidModel for values that fit no array.
    """

    input_shape: tuple[int, int, int]
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        pairs = {"kernel": 1, "stride": 1, "padding": 0, "dilation": 1}
        for name, least in pairs.items():
            object.__setattr__(self, name, _pair(getattr(self, name), name, least))
        check_fields(
            self,
            input_shape=at_least(1),
            channels=at_least(1),
            groups=at_least(1),
            skip=tuple(pairs),
        )
        shape = self.input_shape
        if shape[0] % self.groups or self.channels % self.groups:
            raise InvalidModel(
                f"Convolution: {self.groups} groups must divide {shape[0]} input and "
                f"{self.channels} output channels"
            )
        if min(self.output_shape) < 1:
            raise InvalidModel(
                f"Convolution: a kernel of {self.kernel} (dilation {self.dilation}) is "
                f"larger than the padded input {shape[1:]}"
            )

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the target."""
        height, width = (
            (
                self.input_shape[1 + i]
                + 2 * self.padding[i]
                - self.dilation[i] * (self.kernel[i] - 1)
                - 1
            )
            // self.stride[i]
            + 1
            for i in (0, 1)
        )
        return (self.channels, height, width)

    def weight_shape(self, sources: int, targets: int) -> tuple[int, ...]:
        """[channel, input channel / groups, row, column]."""
        return (self.channels, self.input_shape[0] // self.groups, *self.kernel)

    def check(self, sources: int, targets: int, node: str) -> None:
        """Raise InvalidModel, naming the projection, where the shapes do not give the sizes of the
        two populations.
        """
        for what, shape, size in (
            ("source", self.input_shape, sources),
            ("target", self.output_shape, targets),
        ):
            if int(np.prod(shape)) != size:
                raise InvalidModel(
                    f"projection {node!r}: the {what} has {size} neurons, the convolution's "
                    f"{what} {shape} has {int(np.prod(shape))}"
                )


Connection = Dense | Sparse | Convolution
# what `synapses` and `delay_matrices` compute
MATRICES = {
    Dense: attributes(),
    Sparse: attributes("synapses"),
    Convolution: attributes("input_shape channels kernel stride padding dilation groups"),
}
_KINDS: dict[str, Any] = {"dense": Dense, "sparse": Sparse, "convolution": Convolution}


def sum_pool(
    input_shape: tuple[int, int, int],
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
) -> tuple[Convolution, NDArray[np.float64]]:
    """A pooling that sums each window: the depthwise convolution and its weights, all 1.

    stride: the kernel unless given.
    """
    channels = input_shape[0]
    steps: Any = kernel if stride is None else stride  # a number is made a pair by Convolution
    window: Any = kernel
    pool = Convolution(input_shape, channels, window, steps, groups=channels)
    return pool, np.ones(pool.weight_shape(0, 0))


def connection_to_json(connection: Connection) -> dict[str, Any]:
    """A JSON value from which `connection_from_json` gives an equal connection."""
    kind = next((name for name, cls in _KINDS.items() if type(connection) is cls), None)
    if kind is None:
        raise InvalidModel(
            f"connection {connection!r} cannot be saved: known are {', '.join(_KINDS)}, and "
            "no subclass"
        )
    return {
        "kind": kind,
        **{k: list(v) if isinstance(v, tuple) else v for k, v in asdict(connection).items()},
    }


def connection_from_json(value: dict[str, Any]) -> Connection:
    """The connection that `connection_to_json` wrote;

    InvalidModel for an unknown kind or parameter.
    """
    parameters = dict(value)
    kind = parameters.pop("kind", None)
    if kind not in _KINDS:
        raise InvalidModel(f"unknown connection {kind!r}: known are {', '.join(_KINDS)}")
    try:
        return _KINDS[kind](**parameters)
    except TypeError as error:
        raise InvalidModel(f"connection {kind}: {error}") from error


def _convolution_synapses(connection: Convolution) -> tuple[AnyArray, AnyArray, AnyArray]:
    """(target, source, position in the flat weight) of every synapse inside the input."""
    channels, height, width = connection.output_shape
    inputs, rows, columns = connection.input_shape
    per_group = inputs // connection.groups
    # every index as an axis: [channel, input channel of the group, kernel row, kernel column, y, x]
    c, i, kr, kc, y, x = np.ogrid[
        :channels, :per_group, : connection.kernel[0], : connection.kernel[1], :height, :width
    ]
    source_row = y * connection.stride[0] - connection.padding[0] + kr * connection.dilation[0]
    source_column = x * connection.stride[1] - connection.padding[1] + kc * connection.dilation[1]
    source_channel = c // (channels // connection.groups) * per_group + i
    inside = (
        (source_row >= 0) & (source_row < rows) & (source_column >= 0) & (source_column < columns)
    )
    shape = np.broadcast_shapes(c.shape, i.shape, inside.shape)
    inside = np.broadcast_to(inside, shape)
    target = np.broadcast_to((c * height + y) * width + x, shape)[inside]
    source = np.broadcast_to((source_channel * rows + source_row) * columns + source_column, shape)[
        inside
    ]
    weight = np.broadcast_to(
        ((c * per_group + i) * connection.kernel[0] + kr) * connection.kernel[1] + kc, shape
    )
    return target, source, weight[inside]


@dataclass(frozen=True)
class Synapses:
    """Every synapse of a projection, arrays [synapse]: ends, position of its weight in the flat
    weight array, delay in steps.
    """

    target: AnyArray
    source: AnyArray
    weight_index: AnyArray
    delay: AnyArray


def synapses(
    connection: Connection,
    sources: int,
    targets: int,
    arrays: dict[str, AnyArray],
    delay: int,
    delay_per: str = "synapse",
) -> Synapses:
    """The synapses of a projection in the order (target, source), weights of 0 among them.

    arrays: `source` and `target` of a Sparse connection; `delay`, where synapses differ, shaped
        like the weight, or [source] with delay_per "source".
    delay: of all synapses where there is no such array.
    """
    match connection:
        case Dense():
            target, source = (a.ravel() for a in np.mgrid[:targets, :sources])
            weight = np.arange(targets * sources)
        case Sparse():
            target, source = arrays["target"].astype(np.int64), arrays["source"].astype(np.int64)
            weight = np.arange(connection.synapses)
        case Convolution():
            target, source, weight = _convolution_synapses(connection)
        case _:
            raise Unsupported(f"connection {connection!r} is none of Dense, Sparse and Convolution")
    if "delay" not in arrays:
        delays = np.full(len(target), delay, np.int64)
    else:
        given = arrays["delay"].astype(np.int64)
        delays = given[source] if delay_per == "source" else given.ravel()[weight]
    order = np.lexsort((source, target))
    return Synapses(target[order], source[order], weight[order], delays[order])


def delay_matrices(
    connection: Connection,
    sources: int,
    targets: int,
    weight: AnyArray,
    arrays: dict[str, AnyArray],
    delay: int,
    delay_per: str = "synapse",
) -> list[tuple[int, Matrix]]:
    """(delay, matrix [target, source]) for every delay of the projection, in increasing order.

    The current is the sum over the entries of matrix @ s[t - delay]. Dense connections give arrays,
    the others sparse matrices, of the weight's type.
    """
    if isinstance(connection, Dense) and "delay" not in arrays:
        return [(delay, weight)]
    found = synapses(connection, sources, targets, arrays, delay, delay_per)
    values = weight.ravel()[found.weight_index]
    result: list[tuple[int, Matrix]] = []
    for d in np.unique(found.delay):
        here = found.delay == d
        matrix = scipy.sparse.csr_array(
            (values[here], (found.target[here], found.source[here])), shape=(targets, sources)
        )
        result.append((int(d), matrix.toarray() if isinstance(connection, Dense) else matrix))
    return result


def apply_matrix(matrix: Matrix, spikes: AnyArray) -> AnyArray:
    """spikes [sample, source] through a matrix [target, source]: [sample, target]."""
    return np.asarray(
        spikes @ matrix.T if isinstance(matrix, np.ndarray) else (matrix @ spikes.T).T
    )
