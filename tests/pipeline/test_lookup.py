import sys

import pytest
from tamis.errors import ConfigError, ContractError, UnknownName
from tamis.pipeline import lookup
from tamis.scorers.ifd import IFD

MINE = """
import pyarrow as pa
import pyarrow.compute as pc
from tamis.scorers.base import Scorer

class Mine(Scorer):
    power: float = 1.0

    @property
    def reads(self):
        return pa.schema([("data.x", pa.null())])

    def score(self, rows, fitted=None):
        return pc.power(rows["data.x"].cast(pa.float64()), self.power)
"""


def test_the_folder_is_the_registry():
    assert lookup.find("scorers", "ifd") is IFD
    assert lookup.names("scorers") == [
        "column",
        "cross_entropy",
        "deita",
        "distilled",
        "ds2",
        "dsir",
        "entropy",
        "got_d",
        "grape",
        "ic_ifd",
        "ifd",
        "influence",
        "length",
        "paser",
        "perplexity",
        "random",
        "rds_plus",
        "selectit",
        "sifd",
        "similarity",
        "tagcos",
        "tags",
        "tsds",
        "tshirt",
        "weighted_sum",
    ]
    assert lookup.names("selector") == [
        "band",
        "best_of_each",
        "best_source",
        "diverse_top_k",
        "facility_location",
        "global_max",
        "hierarchical",
        "k_center",
        "level_fill",
        "paser",
        "quota",
        "random",
        "representatives",
        "round_robin",
        "sample",
        "sem_dedup",
        "simcore",
        "tag_coverage",
        "threshold",
        "top_k",
        "zip",
    ]
    assert lookup.names("signals") == [
        "clusters",
        "concepts",
        "divergence",
        "embedding",
        "embedding_column",
        "exact_duplicates",
        "forward",
        "gradient",
        "knn",
        "length",
        "minhash",
        "near_duplicates",
        "neighbours",
        "ngrams",
        "rating_model",
        "rating_server",
        "semantic_duplicates",
        "spectral",
    ]
    assert lookup.names("filters") == [
        "bounds",
        "contamination",
        "echo",
        "embedding_contamination",
        "fuzzy_contamination",
        "language",
        "refusals",
        "repetition",
        "sft",
    ]


def test_every_name_is_found():
    for section in lookup.FOLDERS:
        for name in lookup.names(section):
            assert issubclass(lookup.find(section, name), lookup.FOLDERS[section][1])


@pytest.mark.parametrize("use", ["ifdd", "base", "checks", "signals", "../errors", "os", ""])
def test_other_names_are_refused_with_those_there_are(use):
    with pytest.raises(UnknownName, match="is not among column, cross_entropy"):
        lookup.find("scorers", use)


def test_a_close_name_is_suggested():
    with pytest.raises(UnknownName, match="did you mean 'perplexity'"):
        lookup.find("scorers", "perplexty")


class TestUserFiles:
    def test_run_only_when_allowed(self, tmp_path):
        path = tmp_path / "mine.py"
        path.write_text(MINE)
        with pytest.raises(ConfigError, match="--allow-code"):
            lookup.find("scorers", str(path))
        found = lookup.find("scorers", str(path), allow_code=True)
        assert found.__name__ == "Mine"
        assert lookup.find("scorers", str(path), allow_code=True) is found

    def test_their_hash_is_their_version(self, tmp_path):
        path = tmp_path / "mine.py"
        path.write_text(MINE)
        first = lookup.version_of(lookup.find("scorers", str(path), allow_code=True))
        path.write_text(MINE + "# changed\n")
        second = lookup.version_of(lookup.find("scorers", str(path), allow_code=True))
        assert first != second
        assert lookup.version_of(IFD) == IFD.version

    @pytest.mark.parametrize(
        ("text", "error", "message"),
        [
            ("x = 1", ContractError, "must define one Scorer, it has 0"),
            (MINE + "class Other(Mine): pass", ContractError, "it has 2"),
            ("1 / 0", ConfigError, "cannot be run: ZeroDivisionError"),
            ("def", ConfigError, "cannot be run: SyntaxError"),
            ("import sys; sys.exit()", ConfigError, "cannot be run: SystemExit"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path, text, error, message):
        path = tmp_path / "mine.py"
        path.write_text(text)
        before = set(sys.modules)
        with pytest.raises(error, match=message):
            lookup.find("scorers", str(path), allow_code=True)
        if error is ConfigError:
            assert not {name for name in set(sys.modules) - before if "tamis_user" in name}

    def test_no_file(self):
        with pytest.raises(UnknownName, match="no file"):
            lookup.find("scorers", "./gone.py", allow_code=True)
