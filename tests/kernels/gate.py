"""Compile Triton kernels ahead of time without a GPU, and read what the machine code holds.

``python -m tamis.tests.kernels.gate tamis.kernels.token_stats_triton 80 90`` prints a JSON list of
what became of each case that the module's ``compile_cases`` declares; ``module:function`` names
another such function. Tests call `reports`, which starts this in a process of its own: a kernel
decorated while ``TRITON_INTERPRET`` is set cannot be compiled.
"""

import functools
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context

from tamis.kernels.backend import CompileCase, interpreting

CAPABILITIES = (80, 86, 90, 100, 120)
SHARED_LIMIT = {80: 163 << 10, 86: 99 << 10, 90: 227 << 10, 100: 227 << 10, 120: 99 << 10}
TENSOR_CORES = {80: "HMMA", 86: "HMMA", 90: "HGMMA", 100: "UTCMMA", 120: "HMMA"}
TENSOR_MEMORY_LIMIT = 512  # columns, on capability 100
OPCODE = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*)((?:\.\w+)*)")
KINDS = {
    "HMMA": re.compile(r"HMMA"),
    "HGMMA": re.compile(r"HGMMA"),
    "UTCMMA": re.compile(r"UTC\w*MMA"),
    "UTMALDG": re.compile(r"UTMALDG"),
    "USETMAXREG": re.compile(r"USETMAXREG"),
    "LDL": re.compile(r"LDL"),
    "STL": re.compile(r"STL"),
    "FP64": re.compile(r"D(ADD|MUL|FMA|SETP|MNMX|MMA)"),
}
WORK: list[tuple[CompileCase, int]] = []  # inherited by forked workers: kernels cannot be pickled


@dataclass(frozen=True)
class Report:
    """What became of one case on one capability; sizes in bytes, `counts` by instruction."""

    case: str
    capability: int
    version: str = ""  # of Triton
    error: str = ""
    registers: int = 0
    stack: int = 0
    shared: int = 0
    tensor_memory: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    means: list[str] = field(default_factory=list)  # what the source asks of the machine code

    def faults(self) -> list[str]:
        """Everything that is wrong with the machine code, in words."""
        if self.error:
            return [f"does not compile: {self.error}"]
        unwanted = {kind: self.counts[kind] for kind in ("LDL", "STL", "FP64")}
        found = [f"{count} {kind}" for kind, count in unwanted.items() if count]
        wanted = {
            "half dot": TENSOR_CORES[self.capability],
            "descriptor": "UTMALDG",
            "specialised": "USETMAXREG",
        }
        found += [f"no {wanted[mean]}" for mean in self.means if not self.counts[wanted[mean]]]
        if self.shared > SHARED_LIMIT[self.capability]:
            found.append(f"{self.shared} bytes of shared memory")
        if self.tensor_memory > TENSOR_MEMORY_LIMIT:
            found.append(f"{self.tensor_memory} columns of tensor memory")
        return found


@functools.cache
def reports(
    cases: str, capabilities: tuple[int, ...] = CAPABILITIES, triton: str = ""
) -> list[Report]:
    """Compile what ``module`` or ``module:function`` declares, in another process.

    `triton` is a folder that holds another version of the package; "" is the installed one.
    """
    env = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    if triton:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (triton, env.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "tamis.tests.kernels.gate", cases, *map(str, capabilities)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the gate failed on {cases}:\n{done.stderr}")
    return [Report(**item) for item in json.loads(done.stdout.splitlines()[-1])]


def inspect(case: CompileCase, capability: int) -> Report:
    """Compile one case and read its machine code."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel = case.kernel
    while not isinstance(kernel, triton.JITFunction):
        kernel = kernel.fn  # what autotune and heuristics wrap
    name = _name(kernel.__name__, case)
    try:
        compiled = triton.compile(
            ASTSource(kernel, *_arguments(kernel.arg_names, case)),
            target=GPUTarget("cuda", capability, 32),
            options={"num_warps": case.num_warps, "num_stages": case.num_stages},
        )
    except Exception as error:  # whatever it is, it is the finding
        text = f"{error.__cause__ or ''}\n{error}".strip()
        return Report(name, capability, triton.__version__, error=text)
    usage, counts = read_cubin(compiled.asm["cubin"])
    ttir = compiled.asm["ttir"]
    counts["FP64"] += len(re.findall(r"(?:\dx|[ <])f64\b", ttir))  # also what was optimised away
    return Report(
        name,
        capability,
        triton.__version__,
        registers=usage["REG"],
        stack=usage["STACK"],
        shared=compiled.metadata.shared,
        tensor_memory=getattr(compiled.metadata, "tmem_size", None) or 0,
        counts=dict(counts),
        means=_means(ttir, case, capability),
    )


def _name(kernel: str, case: CompileCase) -> str:
    values = " ".join(f"{key}={value}" for key, value in case.constexprs.items())
    types = " ".join(sorted({*case.signature.values()} - {"constexpr"}))
    return f"{kernel} ({types}) {values} warps={case.num_warps} stages={case.num_stages}"


def _arguments(names: list[str], case: CompileCase) -> tuple[dict, dict, dict]:
    """Signature, constexprs and attributes as Triton's compiler takes them, in argument order."""
    declared = {*case.signature, *case.constexprs}
    if declared != set(names) or not {*case.divisible} <= set(names):
        raise ValueError(f"the case declares {sorted(declared)}; the kernel takes {sorted(names)}")
    signature, constexprs, attributes = {}, {}, {}
    for position, name in enumerate(names):
        if name in case.constexprs:
            signature[name] = "constexpr"
            constexprs[(position,)] = case.constexprs[name]
            continue
        signature[name] = case.signature[name]
        if signature[name].startswith("*") or name in case.divisible:
            attributes[(position,)] = [["tt.divisibility", 16]]
    return signature, constexprs, attributes


def _means(ttir: str, case: CompileCase, capability: int) -> list[str]:
    """What the kernel's author meant, so that a silent fallback of the compiler shows."""
    half = any(re.search(r"bf16|fp16", kind) for kind in case.signature.values())
    meant = {
        "half dot": half and re.search(r"\btt\.dot", ttir),
        "descriptor": capability >= 90 and re.search(r"tt\.descriptor_(load|gather)", ttir),
        "specialised": capability in (90, 100) and "tt.warp_specialize" in ttir,
    }
    return [name for name, is_meant in meant.items() if is_meant]


def read_cubin(cubin: bytes) -> tuple[dict[str, int], Counter]:
    """Resources of the kernel in a cubin, and how often each kind of instruction occurs."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage = dict(re.findall(r"\b(REG|STACK):(\d+)", _cuobjdump("-res-usage", file.name)))
        sass = _cuobjdump("-sass", file.name)
    opcodes = Counter(opcode for opcode, _ in OPCODE.findall(sass))
    if not opcodes["EXIT"]:
        raise RuntimeError("cuobjdump's output holds no instruction that the gate can read")
    counts = Counter({kind: 0 for kind in KINDS})
    for kind, pattern in KINDS.items():
        counts[kind] = sum(n for opcode, n in opcodes.items() if pattern.fullmatch(opcode))
    return {key: int(value) for key, value in usage.items()}, counts


def _cuobjdump(option: str, path: str) -> str:
    from triton import knobs

    command = [knobs.nvidia.cuobjdump.path, option, path]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _inspect(index: int) -> Report:
    return inspect(*WORK[index])


def main(cases: str, *capabilities: str) -> None:
    """Print the reports of all cases on all capabilities as one line of JSON."""
    if interpreting():
        raise SystemExit("unset TRITON_INTERPRET: interpreted kernels cannot be compiled")
    module, _, function = cases.partition(":")
    declare = getattr(importlib.import_module(module), function or "compile_cases")
    WORK.extend((case, int(c)) for c in capabilities or CAPABILITIES for case in declare(int(c)))
    with ProcessPoolExecutor(os.cpu_count(), get_context("fork")) as pool:  # threads gain nothing
        found = list(pool.map(_inspect, range(len(WORK))))
    print(json.dumps([asdict(report) for report in found]))


if __name__ == "__main__":
    main(*sys.argv[1:])
