# SPDX-License-Identifier: Apache-2.0
"""PLL settings: dividers for the clock that is nearest below a wish."""

from dataclasses import dataclass

from neurohw.errors import InvalidData


@dataclass(frozen=True)
class PllSetting:
    """Module parameters of a board top, and the clock in MHz that they give."""

    clock_mhz: float
    parameters: dict[str, int]


def ecp5_pll(input_mhz: float, wish_mhz: float) -> PllSetting:
    """EHXPLLL with feedback from its output: f = input / reference * feedback, f * output inside
    400..800 MHz.

    The phase detector takes 3.125..400 MHz.
    Raises InvalidData if no setting gives a clock at or below the wish.
    """
    best: PllSetting | None = None
    for reference in range(1, 129):
        if not 3.125 <= input_mhz / reference <= 400:
            continue
        for feedback in range(1, 81):
            clock = input_mhz / reference * feedback
            output = round(600 / clock)
            if (
                clock > wish_mhz + 1e-9
                or not 1 <= output <= 128
                or not 400 <= clock * output <= 800
            ):
                continue
            if best is None or clock > best.clock_mhz + 1e-9:
                best = PllSetting(
                    clock,
                    {
                        "PLL_REFERENCE_DIVIDER": reference,
                        "PLL_FEEDBACK_DIVIDER": feedback,
                        "PLL_OUTPUT_DIVIDER": output,
                    },
                )
    if best is None:
        raise InvalidData(
            f"no ECP5 PLL setting gives a clock at or below {wish_mhz} MHz from {input_mhz} MHz"
        )
    return best


# upper limits in MHz of the phase detector frequency for each loop filter setting, from the
# device's documentation
_ICE40_FILTER = ((17.0, 1), (26.0, 2), (44.0, 3), (66.0, 4), (101.0, 5), (133.0, 6))


def ice40_pll(input_mhz: float, wish_mhz: float) -> PllSetting:
    """SB_PLL40 in simple feedback: f = input (DIVF + 1) / (2^DIVQ (DIVR + 1)), VCO 533..1066 MHz,
    detector 10..133 MHz.

    Raises InvalidData if no setting gives a clock at or below the wish; the slowest clock is about
    16 MHz / 2.
    """
    best: PllSetting | None = None
    for divr in range(16):
        detector = input_mhz / (divr + 1)
        if not 10 <= detector <= 133:
            continue
        filter_range = next(setting for limit, setting in _ICE40_FILTER if detector <= limit)
        for divf in range(128):
            vco = detector * (divf + 1)
            if not 533 <= vco <= 1066:
                continue
            for divq in range(1, 7):
                clock = vco / 2**divq
                if clock <= wish_mhz + 1e-9 and (best is None or clock > best.clock_mhz + 1e-9):
                    settings = {
                        "PLL_DIVR": divr,
                        "PLL_DIVF": divf,
                        "PLL_DIVQ": divq,
                        "PLL_FILTER_RANGE": filter_range,
                    }
                    best = PllSetting(clock, settings)
    if best is None:
        raise InvalidData(
            f"no iCE40 PLL setting gives a clock at or below {wish_mhz} MHz from {input_mhz} MHz"
        )
    return best


def pll_for(family: str, input_mhz: float, wish_mhz: float) -> PllSetting:
    """The setting of the family's PLL for the fastest clock that is not above the wish."""
    return ecp5_pll(input_mhz, wish_mhz) if family == "ecp5" else ice40_pll(input_mhz, wish_mhz)
