import pytest
import yaml
from tamis import __version__
from tamis.errors import ConfigError
from tamis.pipeline import lookup, parcel
from tamis.pipeline.load import load
from tamis.pipeline.overrides import Overrides
from tamis.pipeline.parcel import make_parcel, pack

MINE = """
import pyarrow as pa
from tamis.scorers.base import Scorer

class Mine(Scorer):
    @property
    def reads(self):
        return pa.schema([("sample_id", pa.string())])

    def score(self, rows, fitted=None):
        return pa.array([1.0] * len(rows))
"""
TEXT = """
name: r
data: [{name: a, path: pool.jsonl}, {name: b, path: org/dataset}, {name: c, path: "s3://x/y.jsonl"}]
targets: {t: {path: target.jsonl}}
signals: {base: {use: forward, model: gpt2}, own: {use: forward, model: model}}
scorers: {ifd: {use: ifd}, mine: {use: ./mine.py}}
selector: {use: top_k, by: mine.score}
budget: {rows: 3}
engine: {kind: ray, address: "10.0.0.1:6379", workers: 4}
out: s3://bucket/runs
"""


@pytest.fixture
def config(tmp_path):
    for name in ("pool.jsonl", "target.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "model").mkdir()
    (tmp_path / "mine.py").write_text(f"# {tmp_path}\n{MINE}")  # the same text is one module
    (tmp_path / "c.yaml").write_text(TEXT)
    return load(str(tmp_path / "c.yaml"), allow_code=True)


def test_it_says_what_the_cluster_must_see(tmp_path, config):
    found = make_parcel(config, tmp_path)
    own = [str(tmp_path / name) for name in ("pool.jsonl", "target.jsonl", "model")]
    assert list(found.inputs) == own
    assert found.outputs == (str(tmp_path / "store"),)
    assert found.values["out"] == "s3://bucket/runs"
    assert [entry["path"] for entry in found.values["data"]] == [
        own[0],
        "org/dataset",
        "s3://x/y.jsonl",
    ]
    assert found.values["engine"]["address"] is None  # the job runs where it was sent
    assert found.values["engine"]["workers"] == 4


def test_code_travels_or_stays(tmp_path, config):
    sent = make_parcel(config, tmp_path)
    assert sent.code == {"code/0/mine.py": tmp_path / "mine.py"}
    assert sent.values["scorers"]["mine"]["use"] == "code/0/mine.py"
    stays = make_parcel(config, tmp_path, with_code=False)
    assert stays.code == {}
    assert str(tmp_path / "mine.py") in stays.inputs


def test_what_comes_with_tamis_is_found_there(tmp_path, monkeypatch):
    found = make_parcel(load("quickstart"), tmp_path)
    assert found.inputs == ()
    assert found.values["data"][0]["path"] == "quickstart/pool.jsonl"
    assert str(lookup.ROOT) not in found.to_yaml()
    (tmp_path / "config.yaml").write_text(found.to_yaml())
    monkeypatch.chdir(tmp_path)
    again = load("config.yaml")
    assert again.data == load("quickstart").data
    assert again.signals == load("quickstart").signals


def test_workers_with_gpus_need_no_gpu_on_the_head(tmp_path):
    said = Overrides(sets=["engine.gpus_per_worker=1"])
    with pytest.raises(ConfigError, match=r"signals.base.dtype: auto .* give --dtype bf16"):
        make_parcel(load("quickstart", said), tmp_path)
    said = Overrides(sets=["engine.gpus_per_worker=1"], dtype="bf16")
    found = make_parcel(load("quickstart", said), tmp_path)
    assert found.values["signals"]["base"]["device"] == "cuda"
    assert make_parcel(load("quickstart"), tmp_path).values["signals"]["base"]["device"] == "auto"


@pytest.mark.parametrize("key", ["data.0.path", "store", "out"])
def test_passwords_do_not_travel(key):
    """Of that the config takes care, so that no part of the tool ever has them."""
    said = Overrides(sets=[f"{key}=s3://me:secret@host/x"])
    with pytest.raises(ConfigError, match="must hold no password") as error:
        load("quickstart", said)
    assert "secret" not in str(error.value)


def test_addresses_stay_as_they_are(tmp_path):
    said = Overrides(sets=["store=s3://bucket/store", "out=gs://bucket/runs"])
    found = make_parcel(load("quickstart", said), tmp_path)
    assert [found.values[key] for key in ("store", "out")] == [
        *("s3://bucket/store", "gs://bucket/runs"),
    ]
    assert found.outputs == ()


@pytest.fixture
def no_wheel(monkeypatch):
    """A wheel of one file, at once."""

    def build(root, folder):
        import zipfile

        path = folder / f"tamis-{__version__}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("tamis/__init__.py", "")
        return path

    monkeypatch.setattr(parcel, "build_wheel", build)


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_checkout_sends_its_wheel(tmp_path, config, no_wheel):
    folder = tmp_path / "job"
    folder.mkdir()
    environment = pack(make_parcel(config, tmp_path), folder, install=False)
    assert environment == {"working_dir": str(folder)}
    sent = {"config.yaml", "job.py", "code/0/mine.py", "tamis/__init__.py"}
    assert files(folder) == sent  # no data, nothing else of the checkout
    loaded = load(str(folder / "config.yaml"), allow_code=True)
    assert loaded.scorers["mine"].score([1, 2]).to_pylist() == [1.0, 1.0]


def test_a_checkout_is_installed_where_that_is_wanted(tmp_path, config, no_wheel):
    folder = tmp_path / "job"
    folder.mkdir()
    environment = pack(make_parcel(config, tmp_path), folder, install=True)
    name = f"tamis-{__version__}-py3-none-any.whl"
    assert environment["pip"] == [f"${{RAY_RUNTIME_ENV_CREATE_WORKING_DIR}}/{name}"]
    assert name in files(folder)


@pytest.mark.parametrize("install", [False, True])
def test_an_installation_names_its_version(tmp_path, config, monkeypatch, install):
    monkeypatch.setattr(parcel, "is_checkout", lambda root: False)
    folder = tmp_path / "job"
    folder.mkdir()
    environment = pack(make_parcel(config, tmp_path), folder, install)
    wanted = {"pip": [f"tamis=={__version__}"]} if install else {}
    assert environment == {"working_dir": str(folder)} | wanted
    assert files(folder) == {"config.yaml", "job.py", "code/0/mine.py"}


def test_the_text_is_the_config(tmp_path, config):
    found = make_parcel(config, tmp_path)
    assert yaml.safe_load(found.to_yaml()) == found.values


def test_a_prompt_of_the_users_travels(tmp_path):
    for name in ("pool.jsonl", "judge"):
        (tmp_path / name).touch()
    (tmp_path / "mine.yaml").write_text("user: a\nscale: [1, 2]\n")
    (tmp_path / "c.yaml").write_text(RATED)
    config = load(str(tmp_path / "c.yaml"))
    assert config.signals["judge"].model == "judge"  # a name that the server knows, and no path
    found = make_parcel(config, tmp_path, with_code=False)
    assert found.code == {"code/0/mine.yaml": tmp_path / "mine.yaml"}
    assert found.values["signals"]["judge"]["prompt"] == "code/0/mine.yaml"
    pack(found, tmp_path, install=True)
    assert (tmp_path / "code/0/mine.yaml").read_text() == (tmp_path / "mine.yaml").read_text()


RATED = """
name: r
data: [{name: a, path: pool.jsonl}]
signals: {judge: {use: rating_server, base_url: http://x/v1, model: judge, prompt: mine.yaml}}
scorers: {rated: {use: column, column: judge.rating}}
selector: {use: top_k, by: rated.score}
budget: {rows: 3}
"""
