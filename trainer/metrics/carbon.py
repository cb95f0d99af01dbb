"""Energy and carbon dioxide of a training, by the formula of the LLaMA paper (section 6 and table 15).

In: device hours and watts, or joules measured. Out: MWh and tonnes, or kWh and kilograms, of CO2 equivalent.
A kilogram a kWh is a tonne a MWh.
"""

from __future__ import annotations

from typing import NamedTuple

from trainer.errors import TrainerError

PUE = 1.1  # power usage effectiveness, what a data centre draws over what its machines draw; the paper's
KG_PER_KWH = 0.385  # CO2 equivalent, mean of the United States' grid; the paper's


class Carbon(NamedTuple):
    """What a run used and emitted.

    Attributes:
        kwh: of the devices, times `pue`.
        kg_co2eq: kilograms of CO2 equivalent.
        pue: power usage effectiveness of the place.
        kg_per_kwh: CO2 equivalent of its electricity.
        origin: what told the energy, as `EnergyMeter.origin` has it.
    """

    kwh: float
    kg_co2eq: float
    pue: float
    kg_per_kwh: float
    origin: str


def energy_mwh(device_hours: float, watts: float, pue: float = PUE) -> float:
    """MWh of devices that draw so many watts each: hours × watts × PUE."""
    return device_hours * watts * pue / 1e6


def tonnes_co2eq(mwh: float, kg_per_kwh: float = KG_PER_KWH) -> float:
    """Tonnes of CO2 equivalent that so many MWh emit."""
    return mwh * kg_per_kwh


def report(joules: float, origin: str, *, pue: float = PUE, kg_per_kwh: float = KG_PER_KWH) -> Carbon:
    """What a run emitted whose devices used so many joules together.

    Raises:
        TrainerError: PUE below 1, or a negative emission.
    """
    if pue < 1 or kg_per_kwh < 0:
        raise TrainerError(f"PUE is at least 1, and kg a kWh at least 0; given are {pue} and {kg_per_kwh}")
    kwh = joules / 3.6e6 * pue
    return Carbon(kwh, kwh * kg_per_kwh, pue, kg_per_kwh, origin)
