"""Energy and emissions by the paper's formula."""

from __future__ import annotations

import pytest

from trainer.errors import TrainerError
from trainer.metrics.carbon import energy_mwh, report, tonnes_co2eq

# The paper's table 15: GPU hours at 400 W, MWh and tonnes of CO2 equivalent. It cuts MWh and rounds tonnes.
TABLE_15 = [
    ("OPT-175B", 809_472, 356, 137),
    ("BLOOM-175B", 1_082_880, 475, 183),
    ("LLaMA-7B", 82_432, 36, 14),
    ("LLaMA-13B", 135_168, 59, 23),
    ("LLaMA-33B", 530_432, 233, 90),
    ("LLaMA-65B", 1_022_362, 449, 173),
]


@pytest.mark.parametrize(("model", "gpu_hours", "mwh", "tonnes"), TABLE_15)
def test_the_papers_table_comes_out(model: str, gpu_hours: int, mwh: int, tonnes: int) -> None:
    energy = energy_mwh(gpu_hours, watts=400)
    assert abs(int(energy) - mwh) <= (1 if model == "BLOOM-175B" else 0)
    assert round(tonnes_co2eq(energy)) == tonnes


def test_all_of_the_papers_development() -> None:
    """2,048 GPUs for about 5 months: 2,638 MWh and 1,015 tonnes, in the paper's section 6."""
    assert tonnes_co2eq(2_638) == pytest.approx(1_015, abs=1)


def test_a_run_is_reported_by_the_same_formula() -> None:
    joules = 82_432 * 3_600 * 400.0
    carbon = report(joules, "nvml")
    assert carbon.kwh == pytest.approx(1_000 * energy_mwh(82_432, 400))
    assert carbon.kg_co2eq == pytest.approx(1_000 * tonnes_co2eq(energy_mwh(82_432, 400)))
    assert (carbon.pue, carbon.kg_per_kwh, carbon.origin) == (1.1, 0.385, "nvml")


def test_place_and_grid_are_the_users_to_say() -> None:
    carbon = report(3.6e6, "rapl", pue=1.5, kg_per_kwh=0.02)
    assert carbon == (1.5, pytest.approx(0.03), 1.5, 0.02, "rapl")


@pytest.mark.parametrize(("pue", "kg"), [(0.9, 0.385), (1.1, -0.1)])
def test_an_impossible_place_is_an_error(pue: float, kg: float) -> None:
    with pytest.raises(TrainerError, match="PUE is at least 1"):
        report(1.0, "nvml", pue=pue, kg_per_kwh=kg)
