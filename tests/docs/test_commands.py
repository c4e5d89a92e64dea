"""Every command, config and piece of Python in the documentation is run, or at least checked.

What a fence says behind its kind decides (blocks of README.md, CONTRIBUTING.md, docs/ and
configs/):

    ```sh                          run by bash in a folder with stand-ins (see `desk`), page by page
    ```sh no-run: needs a GPU      not run, with the reason; commands and options must exist
    ```yaml                        a config or a fragment of one; it is loaded, and planned
    ```yaml no-run: of a trainer   not a config of Tamis; it is read as YAML
    ```python                      run, all blocks of a page as one program, after its commands
    ```python no-run: …            compiled
    ```yaml or ```python whose first line is `# my.yaml` or `# my_scorer.py` alone (or before a
    comma): also written under that name for the commands of its page

A page that speaks of `runs/ifd` before a command that makes it finds one. Commands in running text
(`tamis …`, `make …`, `python benchmarks/…`) must exist, with their options.
"""

import re
import subprocess
import sys

import pytest
import typer.main
import yaml
from tamis.pipeline.cli import app
from tamis.pipeline.config import Config
from tamis.tests.docs import desk
from tamis.tests.docs.pages import ROOT, Block, blocks, name_of, page_lines_without_fences, pages
from typer.testing import CliRunner

TIMEOUT_S = 600
PAGES = [page for page in pages() if page.name != "CHANGELOG.md"]
WITH_BLOCKS = [page for page in PAGES if any(b.kind in ("sh", "python") for b in blocks(page))]
SHELL = ("kubectl", "export", "cd", "ls", "cat", "git", "head", "jq", "docker", "llamafactory-cli")
SHELL += ("axolotl", "jupyter", "xdg-open", "open")
MAKEFILE = (ROOT / "Makefile").read_text()


def of_kind(kind):
    return [block for page in PAGES for block in blocks(page) if block.kind == kind]


def is_run(block):
    return not block.note.startswith("no-run:")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_fence_says_what_it_is(page):
    for block in blocks(page):
        assert block.kind in ("", "sh", "yaml", "python", "json", "text"), f"{block}: {block.kind}"
        if block.note:
            assert re.fullmatch(r"no-run: \S.*", block.note), f"{block}: {block.note}"


@pytest.mark.parametrize("block", of_kind("yaml"), ids=str)
def test_a_config_is_valid(block):
    if is_run(block):
        Config.model_validate(desk.completed(block), context={"allow_code": False} | allowed(block))
    else:
        assert yaml.safe_load(block.text)


def allowed(block):
    """A block that names a scorer of one's own can be read only where code may run."""
    if "./" in block.text:
        pytest.skip("names a file of the user's; its page runs it")
    return {}


@pytest.mark.parametrize("block", of_kind("python"), ids=str)
def test_python_compiles(block):
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", of_kind("sh"), ids=str)
def test_the_commands_of_a_block_exist(block):
    for words in desk.commands(block.text):
        check(words, str(block))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_running_text_exist(page):
    text = " ".join(page_lines_without_fences(page))
    for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text):
        if re.match(r"(tamis [a-z]|make [a-z]|pip install|python benchmarks/)", span):
            for words in desk.commands(span.replace("…", "")):
                check(words, f"{name_of(page)}: {span}")


def check(words, where):
    """Raise if a command does not exist, or an option of it."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # of the environment
        words = words[1:]
    program, *words = words
    if program == "tamis":
        check_tamis(typer.main.get_command(app), words, where)
    elif program == "make":
        check_make(words, where)
    elif program in ("python", ".venv/bin/python"):
        check_python(words, where)
    elif program == "pip":
        check_pip(words, where)
    else:
        assert program in SHELL, f"{where}: {program}"


def check_tamis(command, words, where):
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{where}: no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    known = {"--help", *(text for param in command.params for text in param.opts)}
    for word in words:
        if word.startswith("-"):
            assert word.partition("=")[0] in known, f"{where}: no option {word}"


def check_make(words, where):
    for word in words:
        name, is_variable, _ = word.partition("=")
        known = f"$({name})" in MAKEFILE if is_variable else f"\n{name}:" in MAKEFILE
        assert known, f"{where}: make knows no {name}"


def check_python(words, where):
    script = ROOT / words[0]
    assert script.is_file(), f"{where}: no file {words[0]}"
    for word in words:
        if word.startswith("--"):
            assert f'"{word}"' in script.read_text(), f"{where}: no option {word}"


def check_pip(words, where):
    project = (ROOT / "pyproject.toml").read_text()
    for extra in re.findall(r"tamis\[(\w+)\]", " ".join(words)):
        assert f"\n{extra} = [" in project, f"{where}: no extra {extra}"


def test_the_check_finds_what_is_wrong():
    for wrong in (
        "tamis choose x.yaml",
        "tamis select x.yaml --budgte 5%",
        "tamis store list --all",
        "make everything",
        "make select MODLE=x",
        "python benchmarks/nothing.py",
        "python benchmarks/kernels.py --colour red",
        "pip install 'tamis[gpu]'",
        "rm -rf /",
    ):
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            check(*desk.commands(wrong), "here")


def test_commands_are_cut_as_a_shell_does():
    text = (
        "FOO=1 tamis select a.yaml \\\n  --set 'x=[1, 2]' | head > b  # not this\nmake test && ls"
    )
    assert desk.commands(text) == [
        ["FOO=1", "tamis", "select", "a.yaml", "--set", "x=[1, 2]"],
        ["head"],
        ["make", "test"],
        ["ls"],
    ]


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Where computed columns live, for all pages."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def folder(tmp_path, store, text_model, s3_server, monkeypatch):
    """A desk, with an S3 server that has a bucket of that name."""
    import boto3
    from tamis.tests.conftest import s3_environment

    for name, value in s3_environment(s3_server).items():
        monkeypatch.setenv(name, value)
    made = desk.make_desk(tmp_path / "desk", store, text_model)
    s3 = boto3.client("s3")
    if "bucket" not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket="bucket")
        s3.upload_file(str(made / "my.jsonl"), "bucket", "pool/my.jsonl")
    return made


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_a_page_runs(page, folder):
    program = []
    for block in blocks(page):
        if name := desk.file_name(block):
            text = block.text
            if block.kind == "yaml":
                text = yaml.safe_dump(desk.completed(block))
            (folder / name).write_text(text + "\n")
        if is_run(block) and block.kind == "sh":
            prepare(block, folder)
            done = run(["bash", "-euo", "pipefail", "-c", block.text], folder)
            assert done.returncode == 0, f"{block} ended with {done.returncode}\n{done.stdout}"
        elif is_run(block) and block.kind == "python":
            prepare(block, folder)
            program.append(block.text)
    if program:
        (folder / "program.py").write_text("\n\n".join(program) + "\n")
        done = run([sys.executable, "program.py"], folder)
        assert done.returncode == 0, f"{name_of(page)}: Python failed\n{done.stdout}"


@pytest.mark.slow
@pytest.mark.parametrize("block", [b for b in of_kind("yaml") if is_run(b)], ids=str)
def test_a_config_can_be_planned(block, folder, monkeypatch):
    for own in blocks(ROOT / block.page):
        if own.kind == "python" and (name := desk.file_name(own)):
            (folder / name).write_text(own.text + "\n")
    (folder / "block.yaml").write_text(yaml.safe_dump(on_the_desk(desk.completed(block))))
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["plan", "block.yaml", "--allow-code"])
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"


def on_the_desk(config):
    """Without data of the hub, which no test fetches."""
    here = [entry for entry in config["data"] if "revision" not in entry]
    return config | {"data": here}


def prepare(block: Block, folder):
    """Make the runs that a block speaks of and nobody made."""
    for name in dict.fromkeys(re.findall(r"\bruns/([a-z_0-9]+)\b", block.text)):
        there = (folder / "runs" / name).exists()
        made_here = re.search(rf"(select|CONFIG=)\S* ?(configs/)?{name}\b", block.text)
        if not there and not made_here and (ROOT / "configs" / f"{name}.yaml").is_file():
            assert run(["tamis", "select", name], folder).returncode == 0, name


def run(words, folder):
    return subprocess.run(
        words,
        cwd=folder,
        env=desk.environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_pages_end_where_the_readme_says():
    """A page that is listed in docs/README.md is there (the other way round: `test_pages`)."""
    listed = re.findall(r"\(([\w/-]+\.md)\)", (ROOT / "docs" / "README.md").read_text())
    assert [name for name in listed if not (ROOT / "docs" / name).is_file()] == []
