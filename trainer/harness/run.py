"""Scores of an exported model on local evaluations, by lm-evaluation-harness, without a network.

In: a Hugging Face folder with its tokenizer, and a folder with a folder an evaluation (see
`trainer.harness.files`). Out: metrics by task, and of MMLU by area. What is asked and how it is scored is
published with the harness (lm_eval/tasks); the files in `tasks/` include that, and say what differs.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trainer.errors import TrainerError

WRITING, WRITTEN = {"gsm8k"}, 256  # whose answers are written, and tokens of one (lm_eval: max_gen_toks)
TASKS = Path(__file__).with_name("tasks")


def names() -> list[str]:
    """Evaluations there are task files for."""
    return sorted(path.stem for path in TASKS.glob("*.yaml"))


def score(
    model: Path,
    data: Path,
    evaluations: Sequence[str],
    *,
    limit: int | None = None,
    batch: int = 8,
    device: str = "cpu",
) -> dict[str, Any]:
    """Run evaluations.

    Args:
        model: Hugging Face folder.
        data: folder with a folder an evaluation.
        evaluations: some of `names`.
        limit: documents of each task, the first ones; None for all.
        batch: sequences at a time.
        device: as torch names it.

    Returns:
        ``{"tasks": {task: {metric: value, "documents": n}}, "versions": …}``; metrics bear the name of their
        filter too, as the harness has it: ``acc,none``.

    Raises:
        TrainerError: a folder or file is missing or is not what it should be.
    """
    for name in ("config.json", "tokenizer.json"):
        if not (model / name).exists():
            raise TrainerError(f"{model} has no {name}; make it by python -m trainer.export")
    if unknown := set(evaluations) - set(names()):
        raise TrainerError(f"no evaluation {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    if too_long := set(evaluations) & (WRITING if read_length(model) <= WRITTEN else set()):
        raise TrainerError(
            f"{', '.join(too_long)}: {WRITTEN} tokens are to be written, and {model} reads "
            f"{read_length(model)} at most; leave it out with --tasks"
        )
    os.environ |= dict.fromkeys(
        ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_DATASETS_DISABLE_PROGRESS_BARS"), "1"
    )
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it tells twice of each task what it was given
    try:
        import lm_eval.tasks  # type: ignore[import-untyped]
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise TrainerError(
            f"{error}; install the extra harness: pip install 'llama-corpus[harness]'"
        ) from error
    with tempfile.TemporaryDirectory(prefix="llama-corpus-tasks-") as folder:
        write_tasks(Path(folder), Path(lm_eval.tasks.__file__).parent, evaluations)
        manager = TaskManager(include_path=folder, include_defaults=False, metadata={"folder": str(data)})
        found = lm_eval.simple_evaluate(
            model="hf",
            model_args={"pretrained": str(model)},
            tasks=manager.all_subtasks,
            task_manager=manager,
            limit=limit,
            batch_size=batch,
            device=device,
            log_samples=False,
        )
    scores = {task: _metrics(found, task) for task in manager.all_subtasks}
    tags = (tag for tag in manager.all_tags if tag.startswith("mmlu_"))
    areas = {tag.removesuffix("_tasks"): manager.task_index[tag].tags for tag in tags}
    if areas:
        areas["mmlu"] = set().union(*areas.values())
    means = {area: _mean([scores[task] for task in tasks]) for area, tasks in areas.items()}
    return {
        "tasks": scores | means,
        "versions": {name: version(name) for name in ("lm_eval", "transformers", "torch")},
    }


def read_length(model: Path) -> int:
    """Tokens a model was trained to read at most."""
    return int(json.loads((model / "config.json").read_bytes())["max_position_embeddings"])


def fitting(model: Path) -> list[str]:
    """Evaluations that a model is long enough for."""
    long_enough = not (model / "config.json").exists() or read_length(model) > WRITTEN
    return [name for name in names() if long_enough or name not in WRITING]


def write_tasks(folder: Path, published: Path, evaluations: Sequence[str]) -> None:
    """Write task files that a `TaskManager` reads.

    One of `TASKS` names after ``include:`` patterns of published files. It is written once for each of these,
    with that file's path there, and its name for ``{name}``.

    Args:
        folder: an empty one.
        published: folder of the harness's own tasks.
        evaluations: some of `names`.
    """
    for evaluation in evaluations:
        text = (TASKS / f"{evaluation}.yaml").read_text("utf-8")
        (line,) = (line for line in text.splitlines() if line.startswith("include: "))
        for pattern in line.removeprefix("include: ").split():
            for path in sorted(published.glob(pattern)):
                whole = text.replace(line, f"include: {path}").replace("{name}", path.stem)
                (folder / path.name).write_text(whole, "utf-8")


def _metrics(found: Mapping[str, Any], task: str) -> dict[str, Any]:
    results = found["results"][task]
    numbers = {key: x for key, x in results.items() if "," in key and isinstance(x, (int, float))}
    return numbers | {"documents": found["n-samples"][task]["effective"]}


def _mean(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """acc over the documents of several tasks, each document alike (lm_eval/tasks/mmlu: weight_by_size)."""
    documents = sum(one["documents"] for one in scores)
    return {
        "acc,none": sum(one["acc,none"] * one["documents"] for one in scores) / documents,
        "documents": documents,
    }


def table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each metric of each task; standard errors beside them."""
    lines = []
    for task, metrics in scores.items():
        for key, value in metrics.items():
            metric, _, kind = key.partition(",")
            if not kind or metric.endswith("_stderr"):
                continue
            error = metrics.get(f"{metric}_stderr,{kind}")
            name = metric if kind == "none" else f"{metric} ({kind})"
            plus = "" if error is None else f" ± {error:.4f}"
            lines.append(f"{task:<44}{metrics['documents']:>7,}  {name:<32}{value:>9.4f}{plus}")
    return "\n".join(lines)
