import os
import resource
import shutil
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tamis.errors import ArtifactError, DataError
from tamis.pipeline.store import AHEAD, Address, Part, Store, open_store
from tamis.stages.remote import files_below

PART = Part("a" * 32, first=10, n_rows=3)
ROWS = pa.table(
    {"position": pa.array([0, 2, 3], pa.int32()), "sample_id": ["x", "y", "z"], "data.n": [1, 2, 3]}
)
ROW_ID, SAMPLE = Address("", "row_id"), Address("", "sample_id")


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path)
    found.write_rows(PART, ROWS)
    found.write("step-k1", PART, pa.table({"a": [1.0, 2, 3], "b": ["x", None, "z"]}))
    return found


def test_columns_come_together_under_the_names_asked_for(store):
    found = store.read(
        PART, {"row_id": ROW_ID, "s.a": Address("step-k1", "a"), "sample_id": SAMPLE}
    )
    assert found.to_pydict() == {
        "row_id": [10, 12, 13],
        "s.a": [1, 2, 3],
        "sample_id": ["x", "y", "z"],
    }


def test_a_column_that_no_row_of_a_part_has_is_null(store):
    found = store.read(PART, {"data.other": Address("", "data.other"), "row_id": ROW_ID})
    assert found["data.other"].to_pylist() == [None] * 3


def test_no_columns_still_have_rows(store):
    assert store.read(PART, {"row_id": ROW_ID}).num_rows == 3


def test_a_pool_is_read_no_further_ahead_than_said(store, monkeypatch):
    """A slow reader must not fill the memory with the parts behind the one it works on."""
    parts = [Part(f"{i:032x}", first=3 * i, n_rows=3) for i in range(4 * AHEAD)]
    for part in parts:
        store.write_rows(part, ROWS)
    started, read = [], store.read

    def noting(part, columns):
        started.append(part)
        return read(part, columns)

    monkeypatch.setattr(store, "read", noting)
    first = []
    for used, rows in enumerate(store.read_pool(parts, {"row_id": ROW_ID}), 1):
        first.append(rows["row_id"][0].as_py())
        time.sleep(0.005)  # time enough to run ahead
        assert len(started) <= used + AHEAD
    assert first == [part.first for part in parts]


def test_what_is_missing(store):
    other = Part("b" * 32, 20, 3)
    again = Part(PART.hash, 30, 3)
    assert store.missing("step-k1", ("a", "c"), [PART, other]) == {PART: ["c"], other: ["a", "c"]}
    assert store.missing("step-k1", ("a", "b"), [PART]) == {}
    assert store.missing("new", ("a",), [PART, again]) == {PART: ["a"]}


class TestDamage:
    def path(self, store):
        return store.root / "step-k1" / "a" / f"{PART.hash}.parquet"

    def read(self, store, part=PART):
        return store.read(part, {"s.a": Address("step-k1", "a")})

    def broken(self, store, part=PART):
        with pytest.raises(ArtifactError) as caught:
            self.read(store, part)
        assert caught.value.path == str(self.path(store))
        return caught.value

    def test_a_truncated_file(self, store):
        data = self.path(store).read_bytes()
        for n in (0, 3, len(data) // 2, len(data) - 1):
            self.path(store).write_bytes(data[:n])
            self.broken(store)

    def test_a_flipped_bit_anywhere_never_changes_a_value(self, store):
        """It is noticed, or it fell on something that carries no value."""
        data, whole = self.path(store).read_bytes(), self.read(store)
        noticed = 0
        for place in range(len(data)):
            for bit in (0, 3, 6):
                flipped = bytes([data[place] ^ 1 << bit])
                self.path(store).write_bytes(data[:place] + flipped + data[place + 1 :])
                try:
                    assert self.read(store).equals(whole), (place, bit)
                except ArtifactError:
                    noticed += 1
        assert noticed > len(data)

    def test_a_file_that_is_gone(self, store):
        self.path(store).unlink()
        assert "is gone" in str(self.broken(store))
        store.set_aside(self.broken(store))

    def test_a_file_of_another_part_or_step(self, store):
        other = Part("b" * 32, 0, 3)
        store.write("step-k1", other, pa.table({"a": [7.0, 8, 9]}))
        (store.root / "step-k1" / "a" / f"{other.hash}.parquet").replace(self.path(store))
        assert "is not step-k1 of part" in str(self.broken(store))

    def test_a_wrong_number_of_rows(self, store):
        assert "has 3 rows, the part has 4" in str(self.broken(store, Part(PART.hash, 10, 4)))

    def test_a_file_of_somebody_else(self, store):
        pq.write_table(pa.table({"a": [1, 2, 3]}), self.path(store))
        assert "is not step-k1" in str(self.broken(store))

    def test_a_file_that_cannot_be_opened_now_is_not_taken_for_a_damaged_one(self, store):
        """It would be set aside, and computed again."""
        free = os.open(store.root, os.O_RDONLY)
        os.close(free)
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                store.read(PART, {"a": Address("step-k1", "a")})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert len(store.read(PART, {"a": Address("step-k1", "a")})) == 3

    def test_a_folder_of_the_store_may_lie_on_another_disk(self, store, tmp_path_factory):
        there = tmp_path_factory.mktemp("disk") / "step-k1"
        shutil.move(store.root / "step-k1", there)
        (store.root / "step-k1").symlink_to(there)
        path = there / "a" / f"{PART.hash}.parquet"
        path.write_bytes(b"PAR1")
        with pytest.raises(ArtifactError) as caught:
            store.read(PART, {"a": Address("step-k1", "a")})
        store.set_aside(caught.value)
        assert [path.name for path in (there / "a").iterdir()] == [f"{PART.hash}.parquet.damaged"]

    def test_damaged_files_are_set_aside_and_missing_again(self, store, caplog):
        self.path(store).write_bytes(b"junk")
        store.set_aside(self.broken(store))
        assert store.missing("step-k1", ("a",), [PART]) == {PART: ["a"]}
        assert self.path(store).with_name(f"{PART.hash}.parquet.damaged").is_file()
        assert str(self.path(store)) in caplog.text


def test_read_pool_keeps_the_order(tmp_path):
    store = Store(tmp_path)
    parts = [Part(f"{i:032x}", 10 * i, 2) for i in range(40)]
    for i, part in enumerate(parts):
        store.write_rows(
            part,
            pa.table({"position": pa.array([0, 1], pa.int32()), "sample_id": [f"{i}a", f"{i}b"]}),
        )
    tables = list(store.read_pool(parts, {"row_id": ROW_ID}))
    assert pa.concat_tables(tables)["row_id"].to_pylist() == [
        10 * i + j for i in range(40) for j in (0, 1)
    ]


def test_describe(store):
    store.describe("step-k1", '{"class":"X"}')
    store.describe("step-k1", '{"class":"X"}')
    assert (store.root / "step-k1" / "step.json").read_text() == '{\n "class": "X"\n}\n'


class TestAtAnAddress:
    @pytest.fixture(params=["memory", "s3"])
    def there(self, request, tmp_path):
        if request.param == "s3":
            address = f"{request.getfixturevalue('bucket')}/store"
        else:
            address = f"memory://{tmp_path.name}/store"
        found = open_store(address)
        found.write_rows(PART, ROWS)
        found.write("step-k1", PART, pa.table({"a": [1.0, 2, 3]}))
        return found

    def test_the_same_bytes_under_the_same_names(self, there, tmp_path):
        here = Store(tmp_path)
        here.write_rows(PART, ROWS)
        here.write("step-k1", PART, pa.table({"a": [1.0, 2, 3]}))
        here.describe("step-k1", '{"class":"X"}')
        there.describe("step-k1", '{"class":"X"}')
        for file in files_below(tmp_path):
            name = file.relative_to(tmp_path).as_posix()
            assert (there.root / name).read_bytes() == file.read_bytes(), name
        columns = {"row_id": ROW_ID, "s.a": Address("step-k1", "a")}
        assert there.read(PART, columns) == here.read(PART, columns)

    def test_what_is_missing(self, there):
        other = Part("b" * 32, 20, 3)
        missing = there.missing("step-k1", ("a", "c"), [PART, other])
        assert missing == {PART: ["c"], other: ["a", "c"]}
        assert there.has_all_rows([PART])
        assert not there.has_all_rows([PART, other])
        assert there.read_fitted("step-k1") is None
        there.write_fitted("step-k1", pa.table({"x": [1]}))
        assert there.read_fitted("step-k1").to_pydict() == {"x": [1]}

    def test_damaged_files_are_named_set_aside_and_missing_again(self, there, caplog):
        path = there.root / "step-k1" / "a" / f"{PART.hash}.parquet"
        data = path.read_bytes()
        for damaged in (b"", data[:-5], data[:60] + bytes([data[60] ^ 1]) + data[61:]):
            path.write_bytes(damaged)
            with pytest.raises(ArtifactError) as caught:
                there.read(PART, {"s.a": Address("step-k1", "a")})
            assert caught.value.path == str(path)
            there.set_aside(caught.value)
            assert there.missing("step-k1", ("a",), [PART]) == {PART: ["a"]}
        assert str(path) in caplog.text
        with pytest.raises(ArtifactError, match="is gone"):
            there.read(PART, {"s.a": Address("step-k1", "a")})

    def test_a_file_of_somebody_else_is_left_alone(self, there):
        with pytest.raises(DataError, match="damaged file"):
            there.set_aside(ArtifactError("memory://elsewhere/x", "broken"))
