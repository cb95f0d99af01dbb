"""An exported model in lm-evaluation-harness: local rows become published questions, scored offline."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch

from tests.shared import DATA, needs
from tests.trainer.models import random_model, write_run, write_tokenizer
from trainer.errors import TrainerError
from trainer.export.models import checkpoint_of, export
from trainer.harness.__main__ import main
from trainer.harness.run import names, score
from trainer.presets import Shape

transformers = pytest.importorskip("transformers")
pytest.importorskip("lm_eval")
pytest.importorskip("accelerate")
sets = pytest.importorskip("trainer.harness.files")

HELLASWAG: list[dict[str, Any]] = [
    {
        "activity_label": "Milling",
        "ctx_a": "A miller lifts a sack.",
        "ctx_b": "he",
        "endings": [
            "pours the grain out.",
            "sings [loudly] to it.",
            "eats the mill.",
            "is a river, all of it.",
        ],
        "label": 0,
    },
    {
        "activity_label": "Baking",
        "ctx_a": "Dough lies on a table.",
        "ctx_b": "a baker",
        "endings": ["flies.", "folds it over twice.", "paints the oven blue, then red.", "is dough."],
        "label": 1,
    },
    {
        "activity_label": "Rowing",
        "ctx_a": "Two boats meet.",
        "ctx_b": "the rowers",
        "endings": [
            "melt.",
            "wave to one another and go on.",
            "are boats",
            "plant a tree in the hull of each.",
        ],
        "label": 1,
    },
]
WINOGRANDE: list[dict[str, Any]] = [
    {
        "context_options": ["The sack fell on the cat as the sack", "The sack fell on the cat as the cat"],
        "continuation": "was heavy.",
        "gold": 0,
    },
    {
        "context_options": ["Ann paid Eve since Ann", "Ann paid Eve since Eve"],
        "continuation": "had worked.",
        "gold": 1,
    },
]
GSM8K = [{"question": "A cart has 4 wheels. How many have 3 carts?", "answer": "3*4=<<3*4=12>>12\n#### 12"}]
CROWS_PAIRS = [
    ["sent_more", "sent_less", "stereo_antistereo", "bias_type"],
    ["Old men forget.", "Young men forget.", "stereo", "age"],
    ["She bakes.", "He bakes.", "stereo", "gender"],
    ["He ploughs well.", "She ploughs well.", "stereo", "gender"],
]
CATEGORIES = [
    "disability",
    "nationality",
    "physical-appearance",
    "race-color",
    "religion",
    "sexual-orientation",
]
CROWS_PAIRS += [[f"One {c}.", f"Another {c}.", "stereo", c] for c in [*CATEGORIES, "socioeconomic"]]
TRUTHFULQA = [
    ["Type", "Category", "Question", "Best Answer", "Correct Answers", "Incorrect Answers", "Source"],
    ["A", "B", "Do mills walk?", "No", "No; They stand still; ", "Yes; At night they do", "x"],
]
WINOGENDER_TEMPLATES = [
    ["occupation(0)", "other-participant(1)", "answer", "sentence"],
    ["miller", "farmer", "0", "The $OCCUPATION told the $PARTICIPANT that $NOM_PRONOUN had ground it."],
    ["miller", "farmer", "1", "The $OCCUPATION gave the $PARTICIPANT back $POSS_PRONOUN sack."],
]
WINOGENDER = [
    ["sentid", "sentence"],
    ["miller.farmer.0.male.txt", "The miller told the farmer that he had ground it."],
    ["miller.someone.1.female.txt", "The miller gave someone back her sack."],
    ["miller.farmer.1.neutral.txt", "The miller gave the farmer back their sack."],
]
SUBJECTS = 57


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_table(path: Path, rows: Iterable[Sequence[str]], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(rows)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evals")
    write_lines(folder / "hellaswag/rows.jsonl", HELLASWAG)
    write_lines(folder / "winogrande/rows.jsonl", WINOGRANDE)
    write_lines(folder / "gsm8k/test.jsonl", GSM8K)
    write_table(folder / "crows_pairs/pairs.csv", CROWS_PAIRS)
    write_table(folder / "truthfulqa/answers.csv", TRUTHFULQA)
    write_table(folder / "winogender/templates.tsv", WINOGENDER_TEMPLATES, "\t")
    write_table(folder / "winogender/all_sentences.tsv", WINOGENDER, "\t")
    header = ["question", *"ABCD", "answer"]
    (folder / "mmlu/test").mkdir(parents=True)
    whole, cut = (
        '"What turns?","A mill","A hill","A bill","A pill",0\n',
        '"Who said "yes, and no"?","a","b","c","d",1\n',
    )
    for subject in ("anatomy", "virology"):
        text = f"{','.join(header)}\n{whole}{cut if subject == 'virology' else whole}"
        (folder / f"mmlu/test/{subject}_test.csv").write_text(text)
    return folder


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def model(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    weights = random_model(Shape(dim=32, heads=4, layers=2, vocab=1_000))
    run = write_run(folder / "run", {1: weights}, tokenizer, length=1_024)
    export(checkpoint_of(run, None), folder / "exported", tokenizer, torch.float32)
    return folder / "exported"


class ByHand:
    """Log-likelihoods from `transformers` and SentencePiece alone."""

    def __init__(self, model: Path) -> None:
        self.model = transformers.AutoModelForCausalLM.from_pretrained(model)
        self.processor = sentencepiece.SentencePieceProcessor(model_file=str(model / "tokenizer.model"))

    @torch.no_grad()
    def nats(self, context: str, continuation: str) -> float:
        """log P(continuation | beginning mark, context); the text is cut in pieces as a whole."""
        ids = [1, *self.processor.encode(context + continuation)]
        known = 1 + len(self.processor.encode(context))
        logs = self.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        return sum(float(logs[i - 1, ids[i]]) for i in range(known, len(ids)))


@pytest.fixture(scope="module")
def by_hand(model: Path) -> ByHand:
    return ByHand(model)


def test_hellaswag_is_scored_as_by_hand(model: Path, data: Path, by_hand: ByHand) -> None:
    """acc takes the likeliest ending, acc_norm the likeliest by character of it."""
    contexts = [
        "Milling: A miller lifts a sack. He",
        "Baking: Dough lies on a table. A baker",
        "Rowing: Two boats meet. The rowers",
    ]
    right, right_by_length = [], []
    for context, row in zip(contexts, HELLASWAG, strict=True):
        endings = [ending.replace("[loudly] ", "") for ending in row["endings"]]
        nats = [by_hand.nats(context, f" {ending}") for ending in endings]
        by_length = [n / len(ending) for n, ending in zip(nats, endings, strict=True)]
        right.append(nats.index(max(nats)) == row["label"])
        right_by_length.append(by_length.index(max(by_length)) == row["label"])
    found = score(model, data, ["hellaswag"])["tasks"]["hellaswag"]
    assert found["documents"] == 3
    assert found["acc,none"] == pytest.approx(sum(right) / 3)
    assert found["acc_norm,none"] == pytest.approx(sum(right_by_length) / 3)


def test_other_choices_are_scored_as_by_hand(model: Path, data: Path, by_hand: ByHand) -> None:
    found = score(model, data, ["winogrande", "crows_pairs", "winogender", "truthfulqa"])["tasks"]

    hits = []
    for row in WINOGRANDE:
        first, second = (
            by_hand.nats(context, f" {row['continuation']}") for context in row["context_options"]
        )
        hits.append((0 if first > second else 1) == row["gold"])
    assert found["winogrande"]["acc,none"] == sum(hits) / 2

    pairs = [(by_hand.nats("", more), by_hand.nats("", less)) for more, less, *_ in CROWS_PAIRS[1:]]
    assert found["crows_pairs_english"]["documents"] == 10
    assert found["crows_pairs_english_gender"]["documents"] == 2
    assert found["crows_pairs_english"]["pct_stereotype,none"] == pytest.approx(
        sum(a > b for a, b in pairs) / 10
    )
    difference = sum(abs(a - b) for a, b in pairs) / 10
    assert found["crows_pairs_english"]["likelihood_diff,none"] == pytest.approx(difference, abs=1e-4)

    asked = [
        ("The miller told the farmer that he had ground it. ‘He’ refers to the", "miller", "farmer"),
        ("The miller gave someone back her sack. ‘Her’ refers to the", "someone", "miller"),
        ("The miller gave the farmer back their sack. ‘Their’ refers to the", "farmer", "miller"),
    ]
    hits = [by_hand.nats(text, f" {right}") > by_hand.nats(text, f" {wrong}") for text, right, wrong in asked]
    for task, hit in zip(("male", "female", "neutral"), hits, strict=True):
        assert found[f"winogender_{task}"]["acc,none"] == float(hit)
    assert found["winogender_all"]["acc,none"] == pytest.approx(sum(hits) / 3)

    prompt = published_prompt() + "\n\nQ: Do mills walk?\nA:"
    no, still, yes, night = (
        math.exp(by_hand.nats(prompt, f" {answer}"))
        for answer in ("No", "They stand still", "Yes", "At night they do")
    )
    assert found["truthfulqa_mc1"]["acc,none"] == float(no > max(yes, night))
    expected = (no + still) / (no + still + yes + night)
    assert found["truthfulqa_mc2"]["acc,none"] == pytest.approx(expected, rel=1e-3)


def published_prompt() -> str:
    """The six questions and answers before TruthfulQA's, from the published task."""
    import lm_eval.tasks
    import yaml

    path = Path(lm_eval.tasks.__file__).with_name("truthfulqa") / "truthfulqa_mc1.yaml"
    text: str = yaml.safe_load(path.read_text())["doc_to_text"]
    return text.split("= '")[1].split("'%}")[0]


def test_mmlu_asks_each_subject_and_leaves_damaged_rows_out(
    model: Path, data: Path, by_hand: ByHand, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = sets.mmlu(str(data), subject="mmlu_virology")["test"].to_list()
    choices = ["A mill", "A hill", "A bill", "A pill"]
    assert rows == [{"question": "What turns?", "choices": choices, "answer": 0}]
    assert "virology_test.csv: 1 of 2 rows left out, damaged" in capfd.readouterr().err

    for path in published_subjects():
        text = (data / "mmlu/test/anatomy_test.csv").read_text()
        (data / "mmlu/test" / f"{path.stem.removeprefix('mmlu_')}_test.csv").write_text(text)
    found = score(model, data, ["mmlu"])["tasks"]
    assert found["mmlu"]["documents"] == 2 * SUBJECTS
    assert found["mmlu_stem"]["documents"] + found["mmlu_humanities"]["documents"] == 2 * (19 + 13)
    text = (
        "The following are multiple choice questions (with answers) about high school biology.\n\n"
        "What turns?\nA. A mill\nB. A hill\nC. A bill\nD. A pill\nAnswer:"
    )
    nats = [by_hand.nats(text, f" {letter}") for letter in "ABCD"]
    assert found["mmlu_high_school_biology"]["acc,none"] == float(nats[0] == max(nats))


def published_subjects() -> list[Path]:
    import lm_eval.tasks

    found = sorted(Path(lm_eval.tasks.__file__).with_name("mmlu").glob("default/mmlu_*.yaml"))
    assert len(found) == SUBJECTS
    return found


def test_gsm8k_runs_after_its_eight_examples(model: Path, data: Path) -> None:
    found = score(model, data, ["gsm8k"])["tasks"]["gsm8k_cot"]
    assert found["documents"] == 1
    assert found["exact_match,strict-match"] == 0.0


def test_the_command_writes_json_and_prints_a_table(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "--data",
        str(data),
        "--tasks",
        "winogrande",
        "--limit",
        "1",
        "--output",
        str(tmp_path / "r.json"),
    ]
    assert main([str(model), *asked, "--device", "cpu"]) == 0
    found = json.loads((tmp_path / "r.json").read_text())["tasks"]["winogrande"]
    assert found["documents"] == 1
    assert f"{found['acc,none']:.4f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["crows_pairs", "gsm8k", "hellaswag", "mmlu", "truthfulqa", "winogender", "winogrande"]
)
def test_files_that_are_missing_or_of_something_else_are_errors(
    model: Path, tmp_path: Path, name: str
) -> None:
    assert name in names()
    with pytest.raises(TrainerError, match=name):
        score(model, tmp_path, [name])


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("hellaswag/a.jsonl", '{"label": 1}\n', r"a.jsonl, line 1: no row of this evaluation"),
        ("gsm8k/a.jsonl", "no json\n", r"a.jsonl, line 1: no row of this evaluation"),
        (
            "crows_pairs/b.csv",
            "sent_more,sent_less,bias_type\nA,B,age\n",
            r"b.csv: has no pairs of disability, gender",
        ),
        ("crows_pairs/a.csv", "a,b\n1,2\n", r"a.csv: lacks the columns bias_type, sent_less, sent_more"),
    ],
)
def test_rows_of_something_else_are_errors(tmp_path: Path, path: str, content: str, message: str) -> None:
    (tmp_path / path).parent.mkdir()
    (tmp_path / path).write_text(content)
    with pytest.raises(TrainerError, match=message):
        getattr(sets, path.split("/")[0])(str(tmp_path))


def test_a_model_without_tokenizer_or_an_unknown_evaluation_is_an_error(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--data", str(data), "--output", str(tmp_path / "r.json")]
    assert main([str(tmp_path), *asked]) == 2
    assert "has no config.json; make it by python -m trainer.export" in capsys.readouterr().err
    assert main([str(model), *asked, "--tasks", "chess"]) == 2
    assert "no evaluation chess; there are crows_pairs, gsm8k" in capsys.readouterr().err


@needs(DATA / "evals")
def test_the_real_files_are_read(model: Path) -> None:
    """Rows that the files hold (their PROVENANCE and a count by hand)."""
    folder = str(DATA / "evals")
    assert sets.hellaswag(folder)["validation"].num_rows == 1_000
    assert sets.winogrande(folder)["validation"].num_rows == 1_267
    assert sets.gsm8k(folder)["test"].num_rows == 1_319
    assert sets.crows_pairs(folder)["test"].num_rows == 1_508
    assert sets.winogender(folder)["test"].num_rows == 720
    assert sets.truthfulqa(folder)["validation"].num_rows > 780
    found = score(model, DATA / "evals", names(), limit=2)["tasks"]
    assert len(found) == 4 + SUBJECTS + 5 + 10 + 4 + 1
    assert all(metrics["documents"] >= 2 for metrics in found.values())
