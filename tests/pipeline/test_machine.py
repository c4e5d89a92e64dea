import os
import shutil

import pytest
from tamis.pipeline.machine import (
    disk_free,
    memory_available,
    memory_in_use,
    n_cores,
    peak_memory,
)
from tamis.stages.locations import locate

MEMINFO = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    800 kB\n"


def machine(tmp_path, cgroup, files):
    """A root with what Linux says of memory and control groups."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(MEMINFO)
    (tmp_path / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_without_a_control_group_it_is_what_the_system_has(tmp_path):
    assert memory_available(machine(tmp_path, "", {})) == 800 * 1024


def test_another_system_does_not_say(tmp_path):
    assert memory_available(tmp_path) is None


def test_the_narrowest_group_counts_and_files_that_can_go_do_not(tmp_path):
    files = {
        "memory.max": "max",
        "memory.current": "9999999",
        "job/memory.max": "500000",
        "job/memory.current": "300000",
        "job/memory.stat": "anon 1\ninactive_file 50000\n",
        "job/step/memory.max": "max",
        "job/step/memory.current": "300000",
    }
    assert memory_available(machine(tmp_path, "0::/job/step\n", files)) == 250_000


def test_the_first_version_of_groups(tmp_path):
    files = {
        "memory/box/memory.limit_in_bytes": "400000",
        "memory/box/memory.usage_in_bytes": "100000",
        "memory/box/memory.stat": "total_inactive_file 1000\n",
    }
    root = machine(tmp_path, "3:cpu,cpuacct:/box\n4:memory:/box\n", files)
    assert memory_available(root) == 301_000


def test_a_group_over_its_limit_has_nothing_left(tmp_path):
    files = {"memory.max": "1000", "memory.current": "5000"}
    assert memory_available(machine(tmp_path, "0::/\n", files)) == 0


def test_this_process():
    assert 1 << 20 < memory_in_use() <= peak_memory() * 1.05
    assert 1 <= n_cores() <= os.cpu_count()


def test_a_disk_is_that_of_the_nearest_folder(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    assert disk_free(tmp_path / "not/there/yet") == pytest.approx(free, rel=0.05)
    assert disk_free(locate("memory://bucket/store")) is None
