import subprocess
import sys

import pytest
from tamis.errors import ConfigError
from tamis.pipeline.load import PACKAGED, _anchor, load
from tamis.pipeline.overrides import Overrides
from tamis.stages.locations import locate

GOOD = """
name: good
data: [{name: d, path: pool.jsonl}]
scorers: {r: {use: random}}
selector: {use: top_k, by: r.score}
budget: {rows: 3}
"""


def write(tmp_path, text, name="c.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def said(path, **kwargs):
    with pytest.raises(ConfigError) as caught:
        load(path, **kwargs)
    return str(caught.value)


def test_paths_are_beside_the_file_then_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    path = write(tmp_path / "configs", GOOD)
    monkeypatch.chdir(tmp_path)
    assert load(path).data[0].path == "pool.jsonl"
    (tmp_path / "pool.jsonl").touch()
    assert load(path).data[0].path == str(tmp_path / "pool.jsonl")
    (tmp_path / "configs" / "pool.jsonl").touch()
    assert load(path).data[0].path == str(tmp_path / "configs" / "pool.jsonl")


def test_globs_and_models_are_anchored_too(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "a.jsonl").touch()
    text = GOOD.replace("pool.jsonl", "'*.jsonl'")
    text += "signals: {m: {use: forward, model: model}, l: {use: length, tokenizer: gpt2}}\n"
    found = load(write(tmp_path, text))
    assert found.data[0].path == str(tmp_path / "*.jsonl")
    assert found.signals["m"].model == str(tmp_path / "model")
    assert found.signals["l"].tokenizer == "gpt2"


def test_paths_are_last_looked_for_among_what_comes_along(tmp_path):
    path = write(tmp_path, GOOD.replace("pool.jsonl", "quickstart/pool.jsonl"))
    assert load(path).data[0].path == str(PACKAGED / "quickstart/pool.jsonl")


def test_packaged_configs_are_found_by_name():
    for path in PACKAGED.glob("*.yaml"):
        assert load(path.stem) == load(str(path))


def test_every_mistake_in_one_go(tmp_path):
    text = GOOD.replace("use: random", "use: ifdd").replace("rows: 3", "rows: 0")
    text += "scorrers: {}\nsignals: {m: {use: forward, modle: x}}\n"
    message = said(write(tmp_path, text))
    assert "c.yaml is not valid:" in message
    assert "scorers.r: 'ifdd' is not among column, cross_entropy" in message
    assert "budget.rows: Input should be greater than 0 (got 0)" in message
    assert "scorrers: unknown key; did you mean 'scorers'? known are budget, data" in message
    assert "signals.m.modle: unknown key; did you mean 'model'?" in message
    assert "signals.m.model: Field required" in message
    assert len(message.splitlines()) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not readable YAML"),
        ("- a\n- b\n", "top level must be keys and values"),
        ("", "top level must be keys and values"),
        ("name: a\nname: b\n", "key 'name' is given twice"),
        ("a: !!python/object/apply:os.system ['true']", "not readable YAML"),
        ("name: x\ndata: 3\n", "data: Input should be a valid list"),
        (GOOD + "engine: {knd: ray}\n", "engine.knd: unknown key; did you mean 'kind'?"),
        (GOOD + "selector: 5\n", "given twice"),
        (GOOD.replace("{use: top_k, by: r.score}", "5"), "selector"),
        (
            GOOD.replace("path: pool.jsonl", "path: 5"),
            "data.0.path: Input should be a valid string",
        ),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    assert message in said(write(tmp_path, text))


def test_no_file():
    assert "no config 'nowhere'; those that come with Tamis: " in said("nowhere")


def test_not_utf8(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe")
    assert "not readable YAML" in said(str(tmp_path / "c.yaml"))


def test_overrides_are_checked_like_the_file(tmp_path):
    path = write(tmp_path, GOOD)
    assert load(path, Overrides(budget="7")).budget.rows == 7
    assert "engine.kind: Input should be 'ray' or 'local' (got 'x')" in said(
        path, overrides=Overrides(engine="x")
    )


def test_code_runs_only_when_allowed(tmp_path):
    mark = tmp_path / "ran"
    (tmp_path / "mine.py").write_text(f"open({str(mark)!r}, 'w').close()")
    path = write(tmp_path, GOOD.replace("use: random", "use: ./mine.py, nonsense: 1"))
    assert "--allow-code" in said(path)
    assert not mark.exists()
    assert "must define one Scorer" in said(path, allow_code=True)
    assert mark.exists()


def test_a_config_is_checked_without_heavy_libraries(tmp_path):
    path = write(tmp_path, GOOD + "signals: {m: {use: forward, model: x}}\n")
    code = (
        "import sys; from tamis.pipeline.load import load; from tamis.pipeline import cli;"
        f"load({path!r}); heavy = ('torch', 'transformers', 'ray', 'datasets', 'faiss', 'sklearn');"
        "sys.exit(str([name for name in heavy if name in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize(
    "said",
    [
        {"sets": ["name=2024-13-45"]},
        {"sets": ["data.\u00b2.path=x"]},
        {"sets": ["scorers.r.use.x=1"]},
        {"sets": ["max_chars=1000000000000000000000000000000"]},
        {"sets": ["budget.rows=true"]},
        {"sets": ["engine.address=ray://user:secret@host:1"]},
        {"sets": ["scorers.r={use: random, 3: x}"]},
        {"sets": ["data.0.path="]},
        {"sets": ["data.0.path=''"]},
        {"data": ["it's.jsonl"]},
        {"data": [""]},
        {"data": ["a''"], "sets": ["data.0.path=''"]},
    ],
    ids=str,
)
def test_odd_words_are_one_clear_error(tmp_path, said):
    with pytest.raises(ConfigError) as error:
        load(str(write(tmp_path, GOOD)), Overrides(**said))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("text", ["name: 2024-13-45", "seed: !!int abc", "[" * 3000])
def test_odd_yaml_is_one_clear_error(tmp_path, text):
    with pytest.raises(ConfigError, match=r"not readable YAML"):
        load(str(write(tmp_path, text)))


def test_a_path_that_is_no_glob_either(tmp_path):
    config = load(str(write(tmp_path, GOOD.replace("pool.jsonl", "a**b"))))
    assert config.data[0].path == "a**b"


def test_adapters_are_looked_for_beside_the_config(tmp_path):
    (tmp_path / "mine").mkdir()
    raw = {"signals": {"g": {"use": "gradient", "adapters": ["mine", "not-there", 3]}}}
    _anchor(raw, tmp_path)
    assert raw["signals"]["g"]["adapters"] == [str(tmp_path / "mine"), "not-there", 3]


def test_unknown_key_inside_a_block_of_a_signal(tmp_path):
    grads = "signals: {g: {use: gradient, model: m, warmup: {shar: 0.1}}}"
    with pytest.raises(ConfigError, match=r"did you mean 'share'.*known are alpha, batch"):
        load(str(write(tmp_path, "name: x\ndata: [{name: p, path: p.jsonl}]\n" + grads)))


def test_addresses_are_not_looked_for_here(tmp_path, monkeypatch):
    (tmp_path / "s3:" / "b").mkdir(parents=True)
    (tmp_path / "s3:" / "b" / "pool.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    for path in ("s3://b/pool.jsonl", "s3://b/*.jsonl"):
        text = GOOD.replace("pool.jsonl", f"'{path}'")
        assert load(write(tmp_path, text)).data[0].path == path


def test_a_config_at_an_address(tmp_path, monkeypatch):
    path = locate(f"memory://{tmp_path.name}/c.yaml")
    path.write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pool.jsonl").touch()
    assert load(str(path)).data[0].path == str(tmp_path / "pool.jsonl")
    path.write_text("name: [")
    assert f"{path} is not readable YAML" in said(str(path))


@pytest.mark.parametrize("place", ["store", "out", "data.0.path"])
def test_an_address_with_a_password_is_refused_without_showing_it(tmp_path, place):
    found = said(write(tmp_path, GOOD), overrides=Overrides(sets=[f"{place}=sftp://me:word1@h/x"]))
    assert f"  {place}: an address must hold no password, token or query" in found
    assert "word1" not in found


def test_a_file_of_patterns_is_looked_for_beside_the_config(tmp_path):
    (tmp_path / "mine.yaml").write_text("sales: ['buy now']")
    path = tmp_path / "config.yaml"
    path.write_text(
        "name: x\ndata: [{name: rows, path: rows.jsonl}]\n"
        "filters: {ads: {use: refusals, patterns: mine.yaml}}\n"
    )
    assert load(str(path)).filters["ads"].patterns == {"sales": ("buy now",)}
