# SPDX-License-Identifier: Apache-2.0
"""The device models, by name."""

from dataclasses import replace
from typing import Any

from neurohw.errors import InvalidModel
from neurohw.memristor.devices.base import Device, GaussianProgramming, Kept
from neurohw.memristor.devices.fitted import PcmJoshi, ReramMilo, ReramWanFit
from neurohw.memristor.devices.forming import Forming
from neurohw.memristor.devices.generic import Additive, LogNormal, Proportional
from neurohw.memristor.devices.phase_change import HermesOne, HermesTwo, Pcm, PhaseChange
from neurohw.memristor.devices.reram_cmo import ReramCmo
from neurohw.memristor.devices.reram_wan import ReramWan

KINDS: dict[str, type[Device]] = {
    cls.kind: cls
    for cls in (
        Pcm,
        HermesTwo,
        HermesOne,
        ReramWan,
        ReramCmo,
        PcmJoshi,
        ReramMilo,
        ReramWanFit,
        LogNormal,
        Additive,
        Proportional,
        Forming,
    )
}


def device_named(kind: str, **parameters: Any) -> Device:
    """The device model of a name, with its parameters at their defaults unless given;

    InvalidModel naming those that exist.
    """
    return device_from_json({"kind": kind, **parameters})


def device_from_json(value: dict[str, Any]) -> Device:
    """The device that `Device.to_json` wrote; InvalidModel for an unknown kind or parameter."""
    parameters: dict[str, Any] = {
        n: tuple(v) if isinstance(v, list) else v for n, v in value.items()
    }
    kind = parameters.pop("kind", None)
    if kind not in KINDS:
        raise InvalidModel(f"unknown device {kind!r}: known are {', '.join(KINDS)}")
    try:
        return KINDS[kind](**parameters)
    except TypeError as error:
        raise InvalidModel(f"device {kind}: {error}") from error


def without_noise(device: Device) -> Device:
    """The same device with no programming error, drift or read noise."""
    return replace(device, programming_scale=0.0, drift_scale=0.0, read_scale=0.0)


__all__ = [
    "KINDS",
    "Additive",
    "Device",
    "Forming",
    "GaussianProgramming",
    "HermesOne",
    "HermesTwo",
    "Kept",
    "LogNormal",
    "Pcm",
    "PcmJoshi",
    "PhaseChange",
    "Proportional",
    "ReramCmo",
    "ReramMilo",
    "ReramWan",
    "ReramWanFit",
    "device_from_json",
    "device_named",
    "without_noise",
]
