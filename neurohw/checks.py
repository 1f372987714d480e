# SPDX-License-Identifier: Apache-2.0
"""Checks of what a user hands over: types, ranges and names.

Every error names the field, the value and the limit.

A whole number may come as a NumPy integer, a real one as any number; both are kept as Python's own.
Booleans are no numbers, nan and infinity are no values.
"""

import math
import operator
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import numpy as np

from neurohw.errors import InvalidModel, NeurohwError, Unsupported

SHOWN = 60  # characters of a wrong value in a message


# what to do where (given, wanted) were mixed up, by the names of their classes
CURES = {
    ("TrainedNetwork", "QuantizedNetwork"): "make integers of it with neurohw.quantize",
    ("QuantizedNetwork", "TrainedNetwork"): "give the network before neurohw.quantize, or what "
    "neurohw.dequantize makes of this one",
    ("Network", "TrainedNetwork"): "train it with neurohw.fit",
    ("Network", "QuantizedNetwork"): "train it with neurohw.fit, then call neurohw.quantize",
    ("TrainedNetwork", "Network"): "give its .network",
    ("QuantizedNetwork", "Network"): "give its .network",
    ("TrainedNetwork", "SpikingModule"): "call neurohw.SpikingModule.from_trained",
    ("RtlPackage", "Path"): "write it with .write(folder) and give the folder",
    ("QuantizedNetwork", "Path"): "write neurohw.emit(model) to a folder and give that",
    ("Spikes", "Dataset"): "give the neurohw.Dataset with its labels",
    ("ndarray", "Dataset"): "make a neurohw.Dataset of arrays and labels",
}
PATHS = {
    "TrainedNetwork": "load it with neurohw.load_trained",
    "QuantizedNetwork": "load it with neurohw.load_quantized",
    "Trace": "load it with neurohw.load_trace",
}


class Range(NamedTuple):
    """The values that a number may have; an open end is not one of them."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: float) -> bool:
        """True for a value inside; never for nan."""
        above_low = value > self.low if self.open_low else value >= self.low
        return above_low and (value < self.high if self.open_high else value <= self.high)

    def __str__(self) -> str:
        if self.low == -math.inf and self.high == math.inf:
            return "finite"
        least, most = (
            str(end) if isinstance(end, int) else f"{end:g}" for end in (self.low, self.high)
        )
        low = (
            f"above {least}" if self.open_low else f"at least {least}" if self.low else "0 or more"
        )
        if self.high == math.inf:
            return low
        if not (self.open_low or self.open_high):
            return f"in {least}..{most}"
        return f"{low} and {'below' if self.open_high else 'at most'} {most}"


ANY = Range()
FRACTION = Range(0, 1)
POSITIVE = Range(0, open_low=True)
SEED = Range(0, 2**63 - 1)


def at_least(low: float) -> Range:
    """`low` and above."""
    return Range(low)


def shown(value: Any) -> str:
    """A value in a message: its text on one line, cut."""
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _wrong(name: str, wanted: str, value: Any, error: type[NeurohwError]) -> NeurohwError:
    return error(f"{' '.join(name.split())} must be {wanted}, not {shown(value)}")


def whole(
    name: str, value: Any, limits: Range = ANY, error: type[NeurohwError] = InvalidModel
) -> int:
    """The value as an int; raises `error` unless it is a whole number inside the limits."""
    wanted = "a whole number" + (f", {limits}" if limits != ANY else "")
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise _wrong(name, wanted, value, error) from None
    if not limits.holds(number):
        raise _wrong(name, wanted, number, error)
    return number


def real(
    name: str, value: Any, limits: Range = ANY, error: type[NeurohwError] = InvalidModel
) -> float:
    """The value as a float; raises `error` unless it is a finite number inside the limits."""
    try:
        if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
            raise TypeError
        number = float(value)
        if not math.isfinite(number) or not limits.holds(number):
            raise TypeError
    except (TypeError, OverflowError):
        raise _wrong(name, f"a number, {limits}", value, error) from None
    return number


def flag(name: str, value: Any, error: type[NeurohwError] = InvalidModel) -> bool:
    """The value as a bool; raises `error` for anything that is no boolean, 0 and 1 among it."""
    if not isinstance(value, bool | np.bool_):
        raise _wrong(name, "True or False", value, error)
    return bool(value)


def choice(
    name: str, value: Any, allowed: Sequence[Any], error: type[NeurohwError] = InvalidModel
) -> Any:
    """The one of `allowed` that the value is; raises `error`, listing them, where it is none."""
    for known in allowed:
        if isinstance(value, type(known)) and value == known:
            return known
    *first, last = map(repr, allowed)
    raise _wrong(name, f"{', '.join(first)} or {last}" if first else last, value, error)


def argument(name: str, value: Any, *kinds: type, error: type[NeurohwError] = InvalidModel) -> None:
    """Raise `error`, saying what to call, for an argument that is of none of the kinds.

    Subclasses are taken, None only where NoneType is one of the kinds.
    name: of function and argument, such as `infer: model`.
    """
    if isinstance(value, kinds):
        return
    given = type(value).__name__
    wanted = [kind.__name__ for kind in kinds if kind is not NoneType]
    known = [CURES[given, kind] for kind in wanted if (given, kind) in CURES]
    if isinstance(value, str | PurePath):
        known = [PATHS[kind] for kind in wanted if kind in PATHS]
    cure = f": {known[0]}" if known else ""
    raise error(f"{name} must be a {' or a '.join(wanted)}, not a {given}{cure}")


def exactly(name: str, value: Any, *kinds: type) -> None:
    """As `argument`; Unsupported, too, for a subclass, whose overrides no engine computes."""
    argument(name, value, *kinds)
    if type(value) not in kinds:
        base = next(kind.__name__ for kind in kinds if isinstance(value, kind))
        raise Unsupported(
            f"{name} is a {type(value).__name__}, a subclass of {base}, and what it overrides is "
            f"computed by no engine: make a {base} of its values"
        )


def checked(
    name: str, value: Any, kind: Any, limits: Range = ANY, error: type[NeurohwError] = InvalidModel
) -> Any:
    """The value as its annotation `kind` wants it; raises `error` where it is something else.

    Known are int, float, bool, Literal, tuples, unions and classes; any other annotation is not
    checked.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if kind is bool:
        return flag(name, value, error)
    if kind is int:
        return whole(name, value, limits, error)
    if kind is float:
        return real(name, value, limits, error)
    if origin is Literal:
        return choice(name, value, arguments, error)
    if origin is tuple:
        return _checked_tuple(name, value, arguments, limits, error)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        alternatives = [a for a in arguments if a is not NoneType]
        if len(alternatives) == 1:
            return checked(name, value, alternatives[0], limits, error)
        classes = tuple(get_origin(a) or a for a in alternatives)
    else:
        classes = (origin or kind,)
    if all(isinstance(c, type) for c in classes) and not isinstance(value, classes):
        raise _wrong(name, " or ".join(f"a {c.__name__}" for c in classes), value, error)
    return value


def _checked_tuple(
    name: str, value: Any, kinds: tuple[Any, ...], limits: Range, error: type[NeurohwError]
) -> tuple[Any, ...]:
    try:
        if isinstance(value, str | bytes | Mapping | Set):  # letters, or values without an order
            raise TypeError
        entries = tuple(value)
    except TypeError:
        raise _wrong(name, "a tuple", value, error) from None
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(entries)
    if len(entries) != len(kinds):
        raise _wrong(name, f"{len(kinds)} values", value, error)
    return tuple(
        checked(f"{name}[{i}]", entry, kind, limits, error)
        for i, (entry, kind) in enumerate(zip(entries, kinds, strict=True))
    )


def check_fields(
    value: Any,
    where: str = "",
    ranges: Mapping[str, Range] | None = None,
    error: type[NeurohwError] = InvalidModel,
    skip: Sequence[str] = (),
    **limits: Range,
) -> None:
    """Check every field of a dataclass by its annotation, and keep what `checked` makes of it.

    For `__post_init__`, frozen or not.

    where: what comes before `Class.field` in a message.
    ranges, limits: of numbers, by field.
    skip: fields with checks of their own.
    """
    known = {**(ranges or {}), **limits}
    for field in fields(value):
        # an annotation as text is of a class outside
        if field.name in skip or isinstance(field.type, str):
            continue
        name = f"{where}{type(value).__name__}.{field.name}"
        found = checked(
            name, getattr(value, field.name), field.type, known.get(field.name, ANY), error
        )
        object.__setattr__(value, field.name, found)
