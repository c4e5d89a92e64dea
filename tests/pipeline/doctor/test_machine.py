import http.server
import os
import threading

import pytest
from tamis.pipeline.doctor import machine
from tamis.pipeline.doctor.machine import (
    cores,
    device,
    disk,
    hub,
    hub_reached,
    machine_checks,
    memory,
    open_files,
    shared_memory,
    triton,
)


def test_this_machine_is_described(tmp_path):
    found = [check() for check in machine_checks(str(tmp_path / "store"), "s3://bucket/runs")]
    said = {finding.name: finding.said for finding in found}
    assert "at an address" in said["runs"]
    assert str(tmp_path / "store") in said["store"]
    assert "GB free" in said["memory"]
    assert cores().said.startswith(str(len(os.sched_getaffinity(0))))


def test_device_and_kernels():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert "no GPU" in device().said
    assert triton().said == "by torch; Triton needs a GPU, and there is none"


def test_a_processor_without_bf16(monkeypatch):
    from tamis.stages import hardware

    monkeypatch.setattr(hardware, "_cpu_has_bf16", lambda: False)
    monkeypatch.setattr(hardware, "gpus", lambda: [])
    assert device().verdict == "MINOR"
    assert "auto: fp32" in device().said


def test_a_gpu_that_fails_is_a_line(monkeypatch):
    from tamis.stages import hardware

    def fails():
        raise RuntimeError("CUDA error: out of memory\nand more")

    monkeypatch.setattr(hardware, "gpus", fails)
    for check in (device, triton):
        assert check().verdict == "MAJOR"
        assert check().said == "torch is broken: CUDA error: out of memory"


@pytest.mark.parametrize(
    ("free", "verdict"), [(0.5e9, "MAJOR"), (2e9, "MINOR"), (50e9, "OK"), (None, "OK")], ids=str
)
def test_memory(monkeypatch, free, verdict):
    """What is free, control groups included, is that of `pipeline.machine`."""
    monkeypatch.setattr(machine, "memory_available", lambda: free)
    found = memory()
    assert found.verdict == verdict
    assert ("how much is free is not known" in found.said) == (free is None)


@pytest.mark.parametrize(
    ("free", "verdict"), [(0.5e9, "MAJOR"), (5e9, "MINOR"), (50e9, "OK")], ids=str
)
def test_room_on_a_disk(monkeypatch, tmp_path, free, verdict):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: type("U", (), {"free": free}))
    assert disk("store", str(tmp_path / "a" / "b")).verdict == verdict


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    found = disk("runs", str(tmp_path / "file" / "runs"))
    assert found.verdict == "MAJOR"
    assert "cannot be written" in found.said


def test_an_address_shows_no_password():
    assert "secret" not in disk("store", "s3://me:secret@host/x").said


def test_shared_memory(monkeypatch, tmp_path):
    assert shared_memory(tmp_path / "no such").verdict == "OK"
    assert shared_memory(tmp_path).verdict == "OK"
    monkeypatch.setattr(machine, "SHM_BYTES", 1 << 62)
    assert shared_memory(tmp_path).verdict == "MINOR"


def test_open_files(monkeypatch):
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(machine, "FILES", soft + 1)
    assert open_files().verdict == "MINOR"
    assert f"{soft:,}" in open_files().said
    monkeypatch.setattr(machine, "FILES", soft)
    assert open_files().verdict == "OK"


def test_the_hub(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "only what was fetched" in hub().said
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert "--online" in hub().said


def test_the_hub_is_asked(monkeypatch, tmp_path):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert hub_reached().verdict == "MINOR"
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "models").write_text("[]")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        found = hub_reached()
        server.shutdown()
    assert (found.verdict, found.said[-3:]) == ("OK", "200")
