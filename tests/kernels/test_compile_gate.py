"""Every kernel configuration compiled for each architecture, and its machine code read."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from tamis.kernels.backend import CompileCase
from tamis.tests.kernels.gate import CAPABILITIES, KINDS, TENSOR_CORES, Report, reports

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
OTHER_VERSIONS = ("3.6.0", "3.9.0")  # the oldest and the newest that pyproject.toml allows
KERNELS = Path(__file__).resolve().parents[2] / "kernels"


def declaring():
    """Modules that declare cases; read, not imported, so that others can still interpret them."""
    for path in sorted(KERNELS.glob("*.py")):
        if "\ndef compile_cases(" in path.read_text("utf-8"):
            yield path.stem


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize(
    "module",
    [
        module if module == "token_stats_triton" else pytest.param(module, marks=pytest.mark.slow)
        for module in declaring()
    ],
)
def test_machine_code(module, capability):
    found = [r for r in reports(f"tamis.kernels.{module}") if r.capability == capability]
    assert found, "no case is declared"
    assert {r.case: r.faults() for r in found if r.faults()} == {}


def test_specialised_candidates_are_specialised():
    found = [r for r in reports("tamis.kernels.token_stats_triton") if r.capability == 90]
    found = [r for r in found if "SPECIALISED=True" in r.case]
    assert len(found) >= 4
    for report in found:
        assert report.counts["USETMAXREG"] > 0
        assert report.counts["UTMALDG"] > 0
        assert report.counts["HGMMA"] > 0


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A function that puts a version of Triton into a folder, once."""
    folders = {}

    def install(version):
        if version not in folders:
            folders[version] = str(tmp_path_factory.mktemp("triton"))
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
            command += [folders[version], f"triton=={version}"]
            subprocess.run(command, check=True, capture_output=True)
        return folders[version]

    return install


@pytest.mark.compat
@pytest.mark.parametrize("module", list(declaring()))
@pytest.mark.parametrize("version", OTHER_VERSIONS)
def test_machine_code_of_other_versions(installed, module, version):
    found = reports(f"tamis.kernels.{module}", CAPABILITIES, installed(version))
    assert {r.version for r in found} == {version}
    assert {(r.capability, r.case): r.faults() for r in found if r.faults()} == {}


# The gate itself. Triton is imported inside: importing it here would, in this process, leave
# its library compiled for other test files that are to interpret it.


def sample():
    """A matrix product that can be spoilt in several ways."""
    import triton
    import triton.language as tl

    @triton.jit
    def product(
        a,
        b,
        out,
        size,
        stride,
        M: tl.constexpr,
        N: tl.constexpr,
        K: tl.constexpr,
        KIND: tl.constexpr,
    ):
        rows = tl.program_id(0) * M
        columns = tl.program_id(1) * N
        total = tl.zeros((M, N), dtype=tl.float32)
        if KIND == "descriptor":
            left = tl.make_tensor_descriptor(a, [size, size], [stride, 1], [M, K])
            right = tl.make_tensor_descriptor(b, [size, size], [stride, 1], [N, K])
            for k in tl.range(0, size, K):
                total = tl.dot(left.load([rows, k]), right.load([columns, k]).T, total)
        else:
            steps = tl.arange(0, K)
            left = a + (rows + tl.arange(0, M))[:, None] * stride + steps[None, :]
            right = b + (columns + tl.arange(0, N))[None, :] * stride + steps[:, None]
            for k in tl.range(0, size, K):
                x, y = tl.load(left + k), tl.load(right + k)
                if KIND == "ieee":
                    x, y = x.to(tl.float32), y.to(tl.float32)
                total = tl.dot(x, y, total, input_precision="ieee")
        if KIND == "fp64":
            total *= tl.full((1, 1), 0.1, tl.float64)
        place = (rows + tl.arange(0, M))[:, None] * stride + columns + tl.arange(0, N)[None, :]
        tl.store(out + place, total)

    return product


def case(kernel, m=64, n=64, k=32, kind="pointer", dtype="*bf16", warps=4, stages=3):
    return CompileCase(
        kernel,
        {"a": dtype, "b": dtype, "out": "*fp32", "size": "i32", "stride": "i32"},
        {"M": m, "N": n, "K": k, "KIND": kind},
        num_warps=warps,
        num_stages=stages,
        divisible=("size", "stride"),
    )


def good_cases(capability):
    kernel = sample()
    kinds = ["pointer", "descriptor"] if capability in (90, 100) else ["pointer"]
    return [case(kernel, kind=kind) for kind in kinds] + [case(kernel, dtype="*fp16")]


def bad_cases(capability):
    kernel = sample()
    return [
        case(kernel, kind="fp64"),
        case(kernel, 256, 256),
        case(kernel, kind="ieee"),
        case(kernel, 128, 128, 64, warps=8, stages=9),
        case(kernel, m=48),
    ]


def wrong_cases(capability):
    return [CompileCase(sample(), {"a": "*bf16"}, {}, num_warps=4, num_stages=3)]


ME = "tamis.tests.kernels.test_compile_gate"


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_good_kernel_passes(capability):
    found = [r for r in reports(f"{ME}:good_cases") if r.capability == capability]
    assert [r.faults() for r in found] == [[] for _ in found]
    for report in found:
        assert "half dot" in report.means
        assert report.counts[TENSOR_CORES[capability]] > 0
        assert 32 <= report.registers <= 255
        assert report.shared > 0
        if "descriptor" in report.case:
            assert report.counts["UTMALDG"] > 0


def test_a_bad_kernel_does_not():
    fp64, spills, no_tensor_cores, too_large, broken = (
        report.faults() for report in reports(f"{ME}:bad_cases", (90,))
    )
    assert [fault.split()[1] for fault in fp64] == ["FP64"]
    assert [fault.split()[1] for fault in spills] == ["LDL", "STL"]
    assert no_tensor_cores == ["no HGMMA"]
    assert [fault.split(" ", 1)[1] for fault in too_large] == ["bytes of shared memory"]
    assert len(broken) == 1
    assert "power of 2" in broken[0]


def test_a_wrong_case_is_an_error(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # of another test; the gate must not inherit it
    (report,) = reports(f"{ME}:wrong_cases", (80,))
    assert "the case declares ['a']; the kernel takes ['K'," in report.faults()[0]


def test_a_module_that_is_not_there_is_an_error():
    with pytest.raises(RuntimeError, match="ModuleNotFoundError"):
        reports("tamis.kernels.nothing", (80,))


@pytest.mark.parametrize(
    ("meaning", "fault"), [("descriptor", "no UTMALDG"), ("specialised", "no USETMAXREG")]
)
def test_what_was_meant_and_is_not_there(meaning, fault):
    counts = dict.fromkeys(KINDS, 0)
    assert Report("a", 90, counts=counts, means=[meaning]).faults() == [fault]
