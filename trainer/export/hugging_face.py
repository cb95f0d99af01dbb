"""LLaMA as `transformers` stores it: names, the order of rows, ``config.json``; and a folder of it read.

Meta's rotary positions turn neighbours (2i, 2i + 1), those of `transformers` the halves (i, i + K/2): the
same function once the rows of wq and wk are reordered within each head (huggingface/transformers,
src/transformers/models/llama/convert_llama_weights_to_hf.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trainer.errors import TrainerError
from trainer.model import Llama
from trainer.presets import Shape

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_NAMES = {
    "tok_embeddings": "model.embed_tokens",
    "norm": "model.norm",
    "output": "lm_head",
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_UNUSED = re.compile(r"rotary_emb\.inv_freq$")  # a table that older folders store


def their_name(name: str) -> str:
    """layers.0.attention.wq.weight → model.layers.0.self_attn.q_proj.weight, and so on."""
    layer, rest = re.fullmatch(r"(layers\.\d+\.)?(.+)\.weight", name).groups()  # type: ignore[union-attr]
    return f"{'model.' + layer if layer else ''}{_NAMES[rest]}.weight"


def shapes(shape: Shape) -> dict[str, torch.Size]:
    """The size of each parameter, by Meta's names."""
    with torch.device("meta"):
        return {name: parameter.shape for name, parameter in Llama(shape).named_parameters()}


def to_theirs(name: str, tensor: Tensor, heads: int) -> Tensor:
    """A parameter with its rows in the order of `transformers`."""
    if not name.endswith(("wq.weight", "wk.weight")):
        return tensor
    ours: Tensor = tensor.unflatten(0, (heads, -1, 2))
    return ours.transpose(1, 2).flatten(0, 2)


def from_theirs(name: str, tensor: Tensor, heads: int) -> Tensor:
    """A parameter with its rows in Meta's order."""
    if not name.endswith(("wq.weight", "wk.weight")):
        return tensor
    theirs: Tensor = tensor.unflatten(0, (heads, 2, -1))
    return theirs.transpose(1, 2).flatten(0, 2)


def config_of(shape: Shape, length: int, dtype: torch.dtype, begin: int, end: int) -> dict[str, Any]:
    """What stands in ``config.json``; `begin` and `end` are the ids of a document's marks."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocab,
        "hidden_size": shape.dim,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "hidden_act": "silu",
        "max_position_embeddings": length,
        "rms_norm_eps": shape.norm_eps,
        "rope_theta": shape.rope_theta,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "bos_token_id": begin,
        "eos_token_id": end,
        "torch_dtype": str(dtype).removeprefix("torch."),
    }


def load_hf(folder: Path) -> tuple[Shape, dict[str, Tensor]]:
    """The weights of a `LlamaForCausalLM`, under Meta's names and with Meta's order of rows.

    Returns:
        its shape, and its parameters in the type they are stored in.

    Raises:
        TrainerError: it is another architecture, or one of its files is missing, damaged or does not fit.
    """
    shape = _shape_of(_read_json(folder / "config.json"), folder / "config.json")
    where = _files(folder)
    wanted = {their_name(name): (name, size) for name, size in shapes(shape).items()}
    if wrong := sorted(set(wanted) ^ {name for name in where if not _UNUSED.search(name)}):
        raise TrainerError(
            f"{folder}: its tensors are not those that its config.json tells of; missing or too many: "
            f"{', '.join(wrong[:5])}{', …' if len(wrong) > 5 else ''}"
        )
    tensors = {}
    for path in sorted(set(where.values())):
        try:
            with safe_open(path, "pt") as file:
                for theirs in sorted(set(file.keys()) & set(wanted)):
                    name, size = wanted[theirs]
                    tensor = file.get_tensor(theirs)
                    if tensor.shape != size:
                        raise TrainerError(
                            f"{path}: {theirs} is {list(tensor.shape)}, by config.json it is {list(size)}"
                        )
                    tensors[name] = from_theirs(name, tensor, shape.heads)
        except (OSError, SafetensorError) as error:
            raise TrainerError(f"{path}: cannot be read ({error}); copy the file again") from error
    if absent := sorted(set(shapes(shape)) - set(tensors)):
        raise TrainerError(f"{folder}: {INDEX} names files that lack {', '.join(absent[:5])}")
    return shape, tensors


def _files(folder: Path) -> dict[str, Path]:
    """Where each tensor is, by the name `transformers` gives it."""
    if (folder / INDEX).exists():
        names: Mapping[str, str] = _read_json(folder / INDEX).get("weight_map", {})
        return {name: folder / file for name, file in names.items()}
    path = folder / WEIGHTS
    try:
        with safe_open(path, "pt") as file:
            return dict.fromkeys(file.keys(), path)
    except (OSError, SafetensorError) as error:
        raise TrainerError(
            f"{path}: cannot be read ({error}); weights are read from .safetensors files alone"
        ) from error


def _shape_of(config: Mapping[str, Any], path: Path) -> Shape:
    if config.get("model_type") != "llama":
        raise TrainerError(f"{path}: model_type is {config.get('model_type')!r}; only 'llama' is read")
    try:
        dim, heads = config["hidden_size"], config["num_attention_heads"]
        layers, vocab, hidden = (
            config[key] for key in ("num_hidden_layers", "vocab_size", "intermediate_size")
        )
    except KeyError as error:
        raise TrainerError(f"{path}: lacks {error}") from error
    rope = config.get("rope_parameters") or {}
    theta = rope.get("rope_theta", config.get("rope_theta", 10_000.0))
    shape = Shape(dim, heads, layers, vocab, config.get("rms_norm_eps", 1e-6), theta)
    unlike = {
        "grouped-query attention": (config.get("num_key_value_heads") or heads) != heads,
        "scaled rotary positions": bool(config.get("rope_scaling"))
        or rope.get("rope_type", "default") != "default",
        "embedding and output tied": config.get("tie_word_embeddings", False),
        "biases": config.get("attention_bias", False) or config.get("mlp_bias", False),
        "another activation than silu": config.get("hidden_act", "silu") != "silu",
        "heads of another width": (config.get("head_dim") or shape.head_dim) != shape.head_dim,
        f"a feed-forward width other than {shape.hidden}": hidden != shape.hidden,
    }
    if found := [what for what, is_so in unlike.items() if is_so]:
        raise TrainerError(f"{path}: this is not LLaMA's first architecture; it has {', '.join(found)}")
    return shape


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TrainerError(
            f"{path}: cannot be read ({error}); it should be a folder of a Hugging Face model"
        ) from error
    if not isinstance(found, dict):
        raise TrainerError(f"{path}: holds no JSON object")
    return found
