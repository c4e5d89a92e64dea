import json

import pytest
from tamis.errors import ModelError
from tamis.stages.likeness import check_same_words
from tamis.tests.tiny import make_model, make_tokenizer


def named(*folders):
    return [(str(folder), None) for folder in folders]


def test_the_same_words_in_another_folder_and_family(gpt2, tmp_path):
    check_same_words(*named(gpt2, make_model(tmp_path, "gpt_neox", seed=1)))


def test_another_template_or_bos_does_not_matter(gpt2, tmp_path):
    """Rows are tokenised with the first model's."""
    check_same_words(*named(gpt2, make_model(tmp_path, "gpt2", bos=True)))


def test_a_word_under_another_id(gpt2, tmp_path):
    make_model(tmp_path, "gpt2")
    make_tokenizer(tmp_path, bos=False, vocab=310)
    said = r"need the same tokenizer, to be compared: '.+' has id 31\d in the first and none in"
    with pytest.raises(ModelError, match=said):
        check_same_words(*named(gpt2, tmp_path))


def test_other_merges_of_the_same_words(gpt2, tmp_path):
    make_model(tmp_path, "gpt2")
    file = tmp_path / "tokenizer.json"
    said = json.loads(file.read_text())
    said["model"]["merges"] = said["model"]["merges"][::-1]
    file.write_text(json.dumps(said))
    with pytest.raises(ModelError, match="put words together from pieces in different ways"):
        check_same_words(*named(gpt2, tmp_path))


def test_rows_that_no_word_has(gpt2, tmp_path):
    """A head with other padding gives another softmax."""
    make_model(tmp_path / "a", "gpt2")
    file = tmp_path / "a" / "config.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps(said | {"vocab_size": 384}))
    with pytest.raises(ModelError, match=r"vocabularies of the same size.*have 320 and 384 rows"):
        check_same_words(*named(gpt2, tmp_path / "a"))
