"""The language of the answers, by py3langid's model, which comes with the package.

    dropped: a language outside `keep`, found with a probability of at least `min_probability`

Naive Bayes over byte n-grams (Lui and Baldwin 2011, IJCNLP; 139 languages in py3langid 0.4), and
one class for what is no language: numbers, markup. A row is dropped only where the model is sure,
and where there is enough text: names, lists and code are seldom of a language with any certainty.
Code within fences is left out, and so are addresses; of what is left the first `LONGEST` characters
count. A row whose instruction names the language
that its answer is in, as translations do, passes.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from ..base import ROWS
from ..sides import Side, texts_of
from .base import Filter

if TYPE_CHECKING:  # heavy
    from py3langid.langid import LanguageIdentifier

NO_LANGUAGE = "zxx"
LONGEST = 50_000  # characters that are judged: of very long texts the model becomes less sure
KNOWN = frozenset(
    re.findall(
        r"\w+",
        """
        ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu
        ext fa fi fo fr fuv fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is
        it ja jv ka kab kik kk km kn ko ku ky la lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt my
        ne nl nn no nso oc om or pa pcm pl ps pt qu ro ru rw sa sdh se si sk sl sn so sq sr st sv sw
        ta te tg th tk tl tr tt ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu
        """,
    )
)
"""The languages of the model."""
NAMES = {
    "ar": "arabic", "bg": "bulgarian", "bn": "bengali", "ca": "catalan", "cs": "czech",
    "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "et": "estonian", "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish",
    "he": "hebrew", "hi": "hindi", "hr": "croatian", "hu": "hungarian", "id": "indonesian",
    "is": "icelandic", "it": "italian", "ja": "japanese", "ko": "korean", "la": "latin",
    "lt": "lithuanian", "lv": "latvian", "mr": "marathi", "ms": "malay", "nl": "dutch",
    "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sk": "slovak", "sl": "slovenian", "sr": "serbian", "sv": "swedish", "sw": "swahili",
    "ta": "tamil", "te": "telugu", "th": "thai", "tl": "tagalog", "tr": "turkish",
    "uk": "ukrainian", "ur": "urdu", "vi": "vietnamese", "zh": "chinese",
}  # fmt: skip
"""How instructions call a language, in small letters."""
NOT_PROSE = re.compile(r"```.*?(?:```|\Z)|https?://\S+", re.DOTALL)


@final
class Language(Filter):
    """Drops rows that are surely in another language than those wanted."""

    words: ClassVar[Mapping[str, str]] = {
        "language": "it is in another language than those wanted",
        "unsure": "its language cannot be told with enough certainty",
    }

    keep: tuple[str, ...] = Field(min_length=1)
    """ISO 639 codes, such as `en`, `de`, `zh`."""
    side: Side = "answer"
    min_probability: float = Field(default=0.8, ge=0, le=1)
    min_characters: int = Field(default=30, ge=0)
    """Characters of prose that a text must have to be judged; shorter ones pass."""
    among: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The languages that there can be; by default all that the model knows."""
    unsure: Literal["keep", "drop"] = "keep"
    """What becomes of rows whose language is found with less than `min_probability`."""

    @field_validator("keep", "among")
    @classmethod
    def _codes(cls, codes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if wrong := [code for code in codes or () if code not in KNOWN]:
            raise ValueError(
                f"{wrong[0]!r} is none of the languages that can be found: "
                f"{', '.join(sorted(KNOWN))}"
            )
        return codes

    @model_validator(mode="after")
    def _kept_can_be(self) -> Self:
        if wrong := [code for code in self.keep if self.among and code not in self.among]:
            raise ValueError(
                f"keep has {wrong[0]!r}, which is not among the languages that there can be: "
                f"{', '.join(self.among or ())}"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """Return the settings, and the library's version: another one has another model."""
        return super().identity() | {"py3langid": version("py3langid")}

    @property
    def reads(self) -> pa.Schema:
        """The conversation."""
        return pa.schema([ROWS.field("messages")])

    @property
    def details(self) -> pa.Schema:
        """The language and its probability; null where there is too little text."""
        return pa.schema([("language", pa.string()), ("probability", pa.float32())])

    def judge(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return the language of each row, and whether it is another one."""
        asked = [" ".join(said).lower() for said in texts_of(rows, "instruction")]
        found = list(self._found(rows))
        reasons = [
            None if self._asked(said, one[0]) else self._reason(*one)
            for said, one in zip(asked, found, strict=True)
        ]
        return pa.table(
            {
                "reason": pa.array(reasons, pa.string()),
                "language": pa.array([language for language, _ in found], pa.string()),
                "probability": pa.array([share for _, share in found], pa.float32()),
            }
        )

    def _found(self, rows: pa.Table) -> Iterator[tuple[str | None, float | None]]:
        model = _identifier(None if self.among is None else tuple(sorted(self.among)))
        for texts in texts_of(rows, self.side):
            prose = " ".join(NOT_PROSE.sub(" ", "\n".join(texts)).split())
            if len(prose) < max(self.min_characters, 1):
                yield None, None
            else:
                language, share = model.classify(prose[:LONGEST])
                yield str(language), float(share)

    def _asked(self, said: str, language: str | None) -> bool:
        """Whether an instruction names the language that its answer is in."""
        return self.side == "answer" and language in NAMES and NAMES[language] in said

    def _reason(self, language: str | None, probability: float | None) -> str | None:
        if language is None or probability is None or language in (*self.keep, NO_LANGUAGE):
            return None
        if probability >= self.min_probability:
            return f"language: {language} with {probability:.2f}"
        return f"unsure: {language} with {probability:.2f}" if self.unsure == "drop" else None


@lru_cache(maxsize=4)
def _identifier(among: tuple[str, ...] | None) -> "LanguageIdentifier":
    """Load the model once per process."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # takes a second

    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    if among is not None:
        model.set_languages([*among, NO_LANGUAGE])
    return model
