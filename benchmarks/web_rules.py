"""The decisions of every published rule, beside those of datatrove's filters, on the same answers.

    pip install datatrove spacy              # into an environment of its own, beside tamis
    python benchmarks/web_rules.py --data alpaca.jsonl --rows 1500

datatrove splits words with spaCy and we do not, so rules that go by words differ in a few answers.
Writes benchmarks/results/web_rules.json, or what --out names.
"""

import argparse
import json
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tamis.stages.text_facts import Text
from tamis.stages.text_rules import RULES

RESULTS = Path(__file__).resolve().parent / "results"
REPETITION = {
    "duplicate_lines": ("dup_line_frac", 0.3),
    "duplicate_paragraphs": ("dup_para_frac", 0.3),
    "duplicate_line_chars": ("dup_line_char_frac", 0.2),
    "duplicate_paragraph_chars": ("dup_para_char_frac", 0.2),
}
TOP = {2: 0.2, 3: 0.18, 4: 0.16}
REPEATED = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1}
QUALITY = {
    "min_words": ("min_doc_words", 50),
    "max_words": ("max_doc_words", 100_000),
    "min_mean_word": ("min_avg_word_length", 3),
    "max_mean_word": ("max_avg_word_length", 10),
    "bullet_lines": ("max_bullet_lines_ratio", 0.9),
    "ellipsis_lines": ("max_ellipsis_lines_ratio", 0.3),
    "alphabetic_words": ("max_non_alpha_words_ratio", 0.8),
    "stop_words": ("min_stop_words", 2),
}
FINEWEB = {
    "punctuated_lines": ("line_punct_thr", 0.12),
    "short_lines": ("short_line_thr", 0.67),
    "repeated_line_chars": ("char_duplicates_ratio", 0.01),
    "line_breaks": ("new_line_ratio", 0.3),
}
FINEWEB_OFF = {"line_punct_thr": -1, "short_line_thr": 2, "char_duplicates_ratio": 9,
               "new_line_ratio": 1e9}  # fmt: skip
C4_OFF = {"filter_no_terminal_punct": False, "min_num_sentences": -1, "min_words_per_line": -1,
          "max_word_length": -1, "filter_lorem_ipsum": False, "filter_javascript": False,
          "filter_curly_bracket": False, "filter_policy": False}  # fmt: skip


def theirs() -> dict[str, tuple[Any, float]]:
    """Return a filter of datatrove for each rule, with all its other rules off, and the bound."""
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    lines: dict[str, Any] = {argument: None for argument, _ in REPETITION.values()}
    lines |= {"top_n_grams": (), "dup_n_grams": ()}
    quality = {argument: None for argument, _ in QUALITY.values()} | {"max_symbol_word_ratio": None}
    found: dict[str, tuple[Any, float]] = {}
    for name, (argument, bound) in REPETITION.items():
        found[name] = GopherRepetitionFilter(**(lines | {argument: bound})), bound
    for n, bound in TOP.items():
        own = lines | {"top_n_grams": ((n, bound),)}
        found[f"top_{n}_gram"] = GopherRepetitionFilter(**own), bound
    for n, bound in REPEATED.items():
        own = lines | {"dup_n_grams": ((n, bound),)}
        found[f"duplicate_{n}_grams"] = GopherRepetitionFilter(**own), bound
    for name, (argument, bound) in QUALITY.items():
        found[name] = GopherQualityFilter(**(quality | {argument: bound})), bound
    for name, (argument, bound) in FINEWEB.items():
        found[name] = FineWebQualityFilter(**(FINEWEB_OFF | {argument: bound})), bound
    found["curly_brackets"] = C4QualityFilter(**(C4_OFF | {"filter_curly_bracket": True})), 0
    found["lorem_ipsum"] = C4QualityFilter(**(C4_OFF | {"filter_lorem_ipsum": True})), 0
    own = {"filter_lorem_ipsum": False, "filter_curly_bracket": False}
    found["sentences"] = C4QualityFilter(**own), 5
    return found


def breaks(name: str, text: Text, bound: float) -> bool:
    """Return our decision."""
    value = RULES[name].measure(text)
    return value is not None and RULES[name].breaks(value, bound)


def compare(answers: list[str]) -> dict[str, dict[str, int]]:
    """Return for each rule how many answers both drop, and how many only one of them."""
    from datatrove.data import Document

    texts = [Text(answer) for answer in answers]
    found = {}
    for name, (filter_, bound) in theirs().items():
        own = [breaks(name, text, bound) for text in texts]
        other = [filter_.filter(Document(text=answer, id="")) is not True for answer in answers]
        pairs = list(zip(own, other, strict=True))
        found[name] = {
            "both": pairs.count((True, True)),
            "only here": pairs.count((True, False)),
            "only datatrove": pairs.count((False, True)),
        }
        print(f"{name:26} {found[name]}", flush=True)
    return found


def main() -> None:
    """Compare, and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="JSONL with an `output` a row")
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--out", type=Path, default=RESULTS / "web_rules.json")
    given = parser.parse_args()
    lines = given.data.read_text(encoding="utf-8").splitlines()
    answers = [row["output"] for row in map(json.loads, lines) if row["output"].strip()]
    answers = answers[: given.rows]
    facts = {"date": date.today().isoformat(), "datatrove": version("datatrove")}
    facts |= {"answers": len(answers), "rules": compare(answers)}
    given.out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
