"""A checkpoint exported and read by `transformers` computes what our model does, and the other way round."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.trainer.models import LENGTH, SHAPE, random_model, write_run, write_tokenizer
from trainer.checkpoint.folder import find
from trainer.errors import TrainerError
from trainer.export.__main__ import main
from trainer.export.hugging_face import config_of, load_hf
from trainer.export.models import checkpoint_of, export, restore
from trainer.presets import Shape, load

transformers = pytest.importorskip("transformers")
TOKENS_BT = torch.randint(0, SHAPE.vocab, (2, 40), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"), {10: random_model(seed=10), 20: random_model(seed=20)})


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(checkpoint_of(run, None), folder, None, torch.float32)
    return folder


def theirs(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto")


@torch.no_grad()
def test_exported_logits_are_those_of_transformers(exported: Path) -> None:
    expected_BTV = random_model(seed=20)(TOKENS_BT)
    assert expected_BTV.std() > 0.5  # else any small numbers would be alike
    model = theirs(exported)
    assert type(model).__name__ == "LlamaForCausalLM"
    assert (model(TOKENS_BT).logits - expected_BTV).abs().max() <= 1e-5


@torch.no_grad()
def test_a_folder_of_transformers_is_read(tmp_path: Path) -> None:
    config = transformers.LlamaConfig(
        vocab_size=300, hidden_size=48, intermediate_size=256, num_hidden_layers=3, num_attention_heads=2,
        rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 1_000.0},
        initializer_range=0.1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(tmp_path)
    ours = restore(tmp_path, "cpu")
    assert ours.shape == Shape(dim=48, heads=2, layers=3, vocab=300, norm_eps=1e-5, rope_theta=1_000.0)
    expected_BTV = model(TOKENS_BT).logits
    assert expected_BTV.std() > 0.5
    assert (ours(TOKENS_BT) - expected_BTV).abs().max() <= 1e-5


def test_what_was_exported_is_read_back_bit_for_bit(exported: Path) -> None:
    shape, tensors = load_hf(exported)
    expected = random_model(seed=20).state_dict()
    assert shape == SHAPE
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


def test_bfloat16_is_rounded_once(run: Path, tmp_path: Path) -> None:
    export(checkpoint_of(run, None), tmp_path / "model", None, torch.bfloat16)
    _, tensors = load_hf(tmp_path / "model")
    expected = random_model(seed=20).state_dict()
    assert all(torch.equal(tensors[name], expected[name].bfloat16()) for name in expected)
    assert theirs(tmp_path / "model").dtype == torch.bfloat16
    assert restore(tmp_path / "model", "cpu").output.weight.dtype == torch.float32


def test_large_weights_lie_in_several_files(run: Path, exported: Path, tmp_path: Path) -> None:
    export(checkpoint_of(run, None), tmp_path / "model", None, torch.float32, largest_file=40_000)
    files = sorted((tmp_path / "model").glob("*.safetensors"))
    assert len(files) > 2
    for path in files:
        with safe_open(path, "pt") as file:
            tensors = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118
        assert len(tensors) == 1 or sum(tensor.nbytes for tensor in tensors) <= 40_000
    index = json.loads((tmp_path / "model/model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 4 * SHAPE.parameters
    assert load_hf(tmp_path / "model")[1].keys() == load_hf(exported)[1].keys()
    assert torch.equal(theirs(tmp_path / "model")(TOKENS_BT).logits, theirs(exported)(TOKENS_BT).logits)


def test_the_configuration_is_that_of_the_released_7b() -> None:
    """The fields that huggyllama/llama-7b's config.json has, but for the name and library version."""
    config = config_of(load("7b").shape(), 2048, torch.float16, 1, 2)
    released = {
        "architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
        "hidden_size": 4096, "intermediate_size": 11008, "max_position_embeddings": 2048,
        "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32, "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False, "torch_dtype": "float16", "vocab_size": 32000,
    }  # fmt: skip
    assert config == released | {
        "num_key_value_heads": 32, "rope_theta": 10_000.0, "attention_bias": False, "mlp_bias": False,
    }  # fmt: skip


def test_a_checkpoint_is_restored(run: Path) -> None:
    model = restore(find(run / "checkpoints", 10), "cpu")
    expected = random_model(seed=10)
    assert model.shape == SHAPE
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), expected.parameters(), strict=True))
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_command_takes_the_last_checkpoint_or_the_one_asked_for(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run), "--output", str(tmp_path / "last"), "--dtype", "float32"]) == 0
    assert main([str(run), "--output", str(tmp_path / "first"), "--dtype", "float32", "--step", "10"]) == 0
    assert "step-00000020 in float32" in capsys.readouterr().out
    for name, seed in (("last", 20), ("first", 10)):
        found = load_hf(tmp_path / name)[1]["norm.weight"]
        assert torch.equal(found, random_model(seed=seed).norm.weight)


def test_with_its_tokenizer_the_folder_is_whole(tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path, vocab=1_000)
    shape = Shape(dim=32, heads=4, layers=1, vocab=1_000)
    run = write_run(tmp_path / "run", {1: random_model(shape)}, tokenizer)
    assert main([str(run), "--output", str(tmp_path / "model"), "--tokenizer", str(tokenizer)]) == 0
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json", "tokenizer.model",
    }  # fmt: skip
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    model = theirs(tmp_path / "model")
    assert loaded.model_max_length == model.config.max_position_embeddings == LENGTH
    inputs = loaded("The mill", return_tensors="pt")
    found = model.generate(**inputs, max_new_tokens=3, do_sample=False, pad_token_id=0)
    assert found.shape[1] > inputs["input_ids"].shape[1]
    assert found[0, 0] == 1


def test_another_tokenizer_than_the_models_is_an_error(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = write_tokenizer(tmp_path)
    assert main([str(run), "--output", str(tmp_path / "model"), "--tokenizer", str(tokenizer)]) == 2
    assert "tokenizer.model: not the tokenizer that the model was trained with" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_a_folder_that_exists_is_left_alone(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run), "--output", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_run_without_such_a_checkpoint_is_an_error(run: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="no complete checkpoint"):
        checkpoint_of(tmp_path, None)
    with pytest.raises(TrainerError, match=r"no checkpoint of step 30"):
        checkpoint_of(run, 30)


def change_config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text()) | changes
        (folder / "config.json").write_text(json.dumps(config))

    return change


def rename_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["other"] = tensors.pop("lm_head.weight")
    save_file(tensors, folder / "model.safetensors")


def cut_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"][:-1]
    save_file(tensors, folder / "model.safetensors")


def cut_file(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-100])


def point_elsewhere(folder: Path) -> None:
    with safe_open(folder / "model.safetensors", "pt") as file:
        where = dict.fromkeys(file.keys(), "absent.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change_config(model_type="mistral"), "model_type is 'mistral'"),
        (change_config(num_key_value_heads=2), "grouped-query attention"),
        (change_config(rope_scaling={"type": "linear", "factor": 2.0}), "scaled rotary positions"),
        (
            change_config(rope_parameters={"rope_type": "llama3", "rope_theta": 1e4}),
            "scaled rotary positions",
        ),
        (change_config(tie_word_embeddings=True), "embedding and output tied"),
        (change_config(attention_bias=True), "biases"),
        (change_config(hidden_act="gelu"), "another activation"),
        (change_config(head_dim=16), "heads of another width"),
        (change_config(intermediate_size=100), "feed-forward width other than 256"),
        (change_config(num_hidden_layers=1), r"missing or too many: model\.layers\.1"),
        (change_config(vocab_size=301), r"is \[300, 32\], by config.json it is \[301, 32\]"),
        (lambda folder: (folder / "config.json").unlink(), r"config.json: cannot be read"),
        (lambda folder: (folder / "config.json").write_text("{}"), r"model_type is None"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "llama"}'),
            "lacks 'hidden_size'",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), r"model.safetensors: cannot be read"),
        (rename_tensor, r"missing or too many: lm_head.weight, other"),
        (cut_tensor, r"lm_head.weight is \[299, 32\]"),
        (cut_file, r"model.safetensors: cannot be read"),
        (point_elsewhere, r"absent.safetensors: cannot be read"),
    ],
)
def test_a_folder_of_another_architecture_or_damaged_is_an_error(
    exported: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damage(tmp_path)
    with pytest.raises(TrainerError, match=message):
        load_hf(tmp_path)
