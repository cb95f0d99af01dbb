"""The log goes on after any stop; FLOPs a token are those of the literature; peaks are of the data sheets."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.errors import TrainerError
from trainer.metrics import devices
from trainer.metrics.devices import board
from trainer.metrics.flops import Peak, flops_6n, flops_attention, measured_peak, peak_flops, sheet_peak
from trainer.metrics.log import MetricsLog, read_metrics
from trainer.presets import Shape, load

CPU = torch.device("cpu")
SEVEN_B = Shape(dim=4096, heads=32, layers=32, vocab=32_000)


def write(path: Path, steps: list[int], resume: int = 0) -> None:
    log = MetricsLog(path, resume)
    for step in steps:
        log.write({"kind": "train", "step": step, "loss": math.log(step)})
    log.close()


def steps(path: Path) -> list[int]:
    return [record["step"] for record in read_metrics(path)]


def test_a_record_is_a_line_and_readable_at_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "run" / "metrics.jsonl", 0)
    log.write({"kind": "train", "step": 1, "loss_by_source": {"wikipédia": 2.5}, "samples": (0, 7)})
    text = (tmp_path / "run" / "metrics.jsonl").read_text("utf-8")
    assert text == '{"kind": "train", "step": 1, "loss_by_source": {"wikipédia": 2.5}, "samples": [0, 7]}\n'
    log.close()


def test_going_on_drops_the_steps_that_are_done_again(tmp_path: Path) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    write(straight, [1, 2, 3, 4, 5])
    write(stopped, [1, 2, 3, 4])
    write(stopped, [3, 4], resume=2)
    write(stopped, [4, 5], resume=3)
    assert stopped.read_bytes() == straight.read_bytes()


def test_a_new_run_begins_with_nothing(tmp_path: Path) -> None:
    write(tmp_path / "log", [1, 2])
    write(tmp_path / "log", [])
    assert steps(tmp_path / "log") == []


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_line_cut_off_at_the_end_is_dropped(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, [1, 2, 3])
    path.write_bytes(path.read_bytes()[: -1 - cut])
    assert steps(path) == [1, 2]
    write(path, [3], resume=2)
    assert steps(path) == [1, 2, 3]


def test_a_last_line_that_lacks_but_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, [1, 2])
    path.write_bytes(path.read_bytes()[:-1])
    write(path, [3], resume=2)
    assert steps(path) == [1, 2, 3]


@pytest.mark.parametrize("line", ["half a li", "[1]", '{"kind": "train"}', '{"step": 1}', "\0\0\0"])
def test_a_line_within_that_is_no_record_is_an_error(line: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, [1])
    with path.open("a") as f:
        f.write(line + "\n" + '{"kind": "train", "step": 3}\n')
    before = path.read_bytes()
    with pytest.raises(TrainerError, match=f"line 2 of {path} is no record"):
        MetricsLog(path, 3)
    assert path.read_bytes() == before


def test_a_log_that_is_not_there_is_an_error_to_read(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=r"metrics\.jsonl cannot be read: No such file"):
        list(read_metrics(tmp_path / "metrics.jsonl"))


@settings(deadline=None, max_examples=50)
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_bit_for_bit(value: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("run") / "log"
    for resume in (0, 1):  # written, and written again on opening
        log = MetricsLog(path, resume)
        log.write({"kind": "train", "step": 1, "loss": value})
        log.close()
    assert [record["loss"].hex() for record in read_metrics(path)] == [value.hex()] * 2


def test_what_json_lacks_is_null(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = MetricsLog(path, 0)
    log.write({"kind": "skipped", "step": 1, "loss": math.nan, "loss_by_source": {"books": math.inf}})
    log.close()
    (record,) = read_metrics(path)
    assert (record["loss"], record["loss_by_source"]) == (None, {"books": None})


def test_flops_are_six_a_parameter() -> None:
    assert flops_6n(SEVEN_B) == 6 * 6_738_415_616


def test_flops_with_attention_leave_the_embedding_out() -> None:
    matrices = 6_738_415_616 - 32_000 * 4096
    assert flops_attention(SEVEN_B, 2048) == 6 * matrices + 12 * 32 * 4096 * 2048


def test_the_papers_speed_is_half_of_its_gpus_peak() -> None:
    """65B: 380 tokens a second a GPU, in the paper's section 2.4; 6N of it is 48 % of 312 TFLOP/s."""
    shape = load("65b").shape(32_000)
    peak = sheet_peak(board("NVIDIA A100-SXM4-80GB"), "bfloat16")
    assert peak is not None
    assert flops_6n(shape) * 380 / peak.flops == pytest.approx(0.477, abs=0.001)


@pytest.mark.parametrize(
    ("device_name", "sheet", "watts", "bfloat16"),
    [
        ("NVIDIA A100-SXM4-40GB", "NVIDIA A100 SXM", 400, 312),
        ("NVIDIA A100-SXM4-80GB", "NVIDIA A100 SXM", 400, 312),
        ("NVIDIA A100 80GB PCIe", "NVIDIA A100 PCIe 80 GB", 300, 312),
        ("NVIDIA H100 80GB HBM3", "NVIDIA H100 SXM", 700, 989.4),
        ("NVIDIA H100 PCIe", "NVIDIA H100 PCIe", 350, 756),
        ("NVIDIA H100 NVL", "NVIDIA H100 NVL", 400, 835.5),
        ("NVIDIA H200", "NVIDIA H200 SXM", 700, 989.5),
        ("NVIDIA B200", "NVIDIA B200", 1000, 2250),
        ("NVIDIA L40S", "NVIDIA L40S", 350, 362.05),
        ("NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4090", 450, 165.2),
        ("Tesla V100-SXM2-32GB", "NVIDIA V100 SXM2", 300, None),
    ],
)
def test_boards_are_found_by_the_names_drivers_give(
    device_name: str, sheet: str, watts: float, bfloat16: float | None
) -> None:
    found = board(device_name)
    assert found is not None
    assert (found.name, found.watts) == (sheet, watts)
    peak = Peak(bfloat16 * 1e12, f"data sheet of {sheet}, bfloat16") if bfloat16 else None
    assert sheet_peak(found, "bfloat16") == peak


@pytest.mark.parametrize(
    "device_name",
    [
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA A10G",
        "NVIDIA H20",
        "",
    ],
)
def test_a_part_or_a_relative_of_a_board_is_not_that_board(device_name: str) -> None:
    assert board(device_name) is None


def test_every_board_names_its_source_and_is_dense() -> None:
    """With sparsity a figure is twice as high: tf32 is half of bfloat16 where matrix units are whole."""
    table = tomllib.loads((Path(devices.__file__).with_name("devices.toml")).read_text("utf-8"))
    for row in table["board"]:
        assert row["source"]
        assert row["watts"] > 0
        if "bfloat16" in row:
            assert row["bfloat16"] / row["tf32"] == pytest.approx(2, rel=0.03)
            assert row["float32"] <= row["tf32"]
    names = [row["name"] for row in table["board"]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_a_data_sheet_a_product_is_timed(dtype: torch.dtype) -> None:
    ticks = iter(range(100))
    peak = measured_peak(CPU, dtype, clock=lambda: float(next(ticks)))
    assert peak == (2 * 1024**3, f"measured, {str(dtype).removeprefix('torch.')}")


def test_measuring_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    assert peak_flops(CPU, torch.float32).origin == "measured, float32"
    assert torch.equal(torch.get_rng_state(), before)
