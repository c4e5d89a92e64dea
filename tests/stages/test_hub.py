import pytest
from datasets import Dataset, DatasetDict
from huggingface_hub import DatasetCardData
from tamis.errors import DataError
from tamis.stages.hub import license_of, read_dataset_folder, read_hub, resolve_dataset
from tamis.tests.tiny import write_jsonl

ROWS = [{"question": f"q{i}", "answer": f"a{i}"} for i in range(5)]


def values(records):
    return [record.value for record in records]


def test_a_folder_of_one_dataset(tmp_path):
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "one")
    assert values(read_dataset_folder(tmp_path / "one", None)) == ROWS
    with pytest.raises(DataError, match="without splits"):
        values(read_dataset_folder(tmp_path / "one", "test"))


def test_a_folder_of_splits(tmp_path):
    splits = {"train": Dataset.from_list(ROWS), "test": Dataset.from_list(ROWS[:2])}
    DatasetDict(splits).save_to_disk(tmp_path / "many")
    assert values(read_dataset_folder(tmp_path / "many", None)) == ROWS
    assert values(read_dataset_folder(tmp_path / "many", "test")) == ROWS[:2]
    with pytest.raises(DataError, match="no split 'dev'; it has train, test"):
        values(read_dataset_folder(tmp_path / "many", "dev"))


def test_a_folder_that_is_damaged(tmp_path):
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(DataError, match="not a readable"):
        values(read_dataset_folder(tmp_path, None))


def test_a_repository_is_read_by_split(tmp_path):
    """What `load_dataset` does with a repository, on a local one."""
    write_jsonl(tmp_path / "train.jsonl", ROWS)
    write_jsonl(tmp_path / "test.jsonl", ROWS[:1])
    assert values(read_hub(str(tmp_path), None, None, "main")) == ROWS
    assert values(read_hub(str(tmp_path), None, "test", "main")) == ROWS[:1]
    with pytest.raises(DataError, match="cannot be read"):
        values(read_hub(str(tmp_path), None, "dev", "main"))


def test_a_dataset_that_cannot_be_had_is_named():
    with pytest.raises(DataError, match="'no/such' at revision 'v1' is neither a file or folder"):
        resolve_dataset("no/such", "v1")


def test_a_hub_that_cannot_be_reached(monkeypatch):
    """As where a file's name is mistyped on a machine without a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="'nothere' is neither a file or folder nor a dataset"):
        resolve_dataset("nothere", None)


@pytest.mark.parametrize(
    ("said", "license"),
    [
        ("mit", "mit"),
        (["cc-by-4.0", "mit"], "cc-by-4.0, mit"),
        ("Ask Us First!", "other"),
        (None, None),
        ([], None),
    ],
)
def test_the_licence_of_a_card(said, license):
    assert license_of(DatasetCardData(license=said)) == license


def test_a_dataset_without_a_card_has_no_licence():
    assert license_of(None) is None
