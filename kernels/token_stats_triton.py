"""`token_stats` on NVIDIA GPUs (sm_80 on), by fused Triton kernels.

A grid of token tiles x S splits of the vocabulary; the logits are never written. The S partial
states per token, (S, tokens) fp32 each, are merged by torch. There are no locks and no atomics,
and every sum has a fixed order: the result is the same bits from run to run. For another number
of tokens S may differ, and with it the last bits.

The target's logit comes first, from a kernel with the same tile and the same order of products,
and its column is then left out by index. So ``top1`` and ``rank`` compare like with like; where
the matrix product still rounds two columns differently, logits that tie to the last bit can count
either way.
"""

import math
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import replace
from functools import partial

import torch
import triton
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from .backend import CompileCase, choose, interpreting
from .logits import MASKED, LMHead, Precision
from .tiles import INTERPRETED, Tile, candidates, choose_splits, choose_tile
from .token_stats import State, finish
from .token_stats_kernels import scan_kernel, target_kernel

FIELDS = ("entropy", "sum_p2", "rank")  # that a state holds on request, in this order
LOG2_E = math.log2(math.e)
TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


def token_stats_triton(
    hidden: Tensor,
    head: LMHead,
    targets: Tensor,
    stats: Sequence[str] = ("loss",),
    precision: Precision = "exact",
    *,
    tile: Tile | None = None,
    splits: tuple[int, int] | None = None,
) -> dict[str, Tensor]:
    """Do what `token_stats` does, which has checked shapes and targets and left out the ignored.

    Args:
        hidden: (tokens, dim), fp32, bf16 or fp16, on an NVIDIA GPU (anywhere if interpreted).
        head: the LM head without padding, on the same device.
        targets: (tokens,) int64 in [0, vocab): others would be read beyond the weight.
        stats: names out of `STATS`.
        precision: exact takes tf32x3 for products of fp32, fast tf32.
        tile: instead of the one in the table; for tests and benchmarks.
        splits: their number and the words in each, likewise.

    Returns:
        One (tokens,) tensor for each name, as `token_stats` does.

    Raises:
        ValueError: other dtypes or devices, and a device that cannot run this.
    """
    choose("triton", str(hidden.device))
    hidden, targets = hidden.contiguous(), targets.contiguous()
    head = replace(head, weight=head.weight.contiguous())
    given = [hidden, head.weight] + ([] if head.bias is None else [head.bias])
    if any(tensor.dtype not in TYPES for tensor in given):
        raise ValueError(f"dtypes must be among {[*TYPES]}; got {[t.dtype for t in given]}")
    if any(tensor.device != hidden.device for tensor in (*given, targets)):
        raise ValueError(f"all tensors must be on {hidden.device}, as the hidden states are")
    n, vocab = len(hidden), len(head.weight)
    if tile is None:
        tile = INTERPRETED if interpreting() else choose_tile(*table_key(hidden, head))
    count, span = splits or choose_splits(n, vocab, tile, capability_of(hidden)[1])
    wanted = [name for name in FIELDS if name in stats]
    parts = torch.empty(2 + len(wanted), count, n, device=hidden.device)
    logits = torch.empty(n, device=hidden.device)
    if n:
        with torch.cuda.device_of(hidden):  # type: ignore[no-untyped-call]
            _launch(hidden, head, targets, (wanted, precision), tile, span, logits, parts)
    return finish(_merge(parts, logits, factors(head)[1], wanted), stats)


def capability_of(tensor: Tensor) -> tuple[int, int]:
    """Capability as 80, 86, 90, ..., and number of multiprocessors; of an H200 if interpreted."""
    if not tensor.is_cuda:
        return 90, 132
    found = torch.cuda.get_device_properties(tensor.device)
    return found.major * 10 + found.minor, found.multi_processor_count


def table_key(hidden: Tensor, head: LMHead) -> tuple[int, int, int, bool, bool]:
    """Arguments of `choose_tile` and `candidates`."""
    same = hidden.dtype == head.weight.dtype
    itemsize = hidden.dtype.itemsize if same else 4
    aligned = _aligned(hidden) and _aligned(head.weight)
    return hidden.shape[1], itemsize, capability_of(hidden)[0], aligned, head.bias is not None


def _aligned(matrix: Tensor) -> bool:
    """Whether each row starts at a multiple of 16 bytes."""
    return matrix.data_ptr() % 16 == 0 and matrix.shape[1] * matrix.itemsize % 16 == 0


def factors(head: LMHead) -> tuple[float, float]:
    """What products (plus bias) are multiplied by before the softcap's tanh, and logits at last.

    The last one is positive: comparing logits before it is comparing them after it.
    """
    if head.softcap is not None:
        cap = abs(head.softcap)
        return head.scale / cap, cap / head.temperature
    if head.scale > 0:
        return 1.0, head.scale / head.temperature
    return head.scale, 1.0 / head.temperature


def _launch(
    hidden: Tensor,
    head: LMHead,
    targets: Tensor,
    asked: tuple[Sequence[str], Precision],
    tile: Tile,
    span: int,
    logits: Tensor,
    parts: Tensor,
) -> None:
    """Fill `logits` (tokens,) and `parts` (fields, splits, tokens)."""
    wanted, precision = asked
    (n, dim), vocab = hidden.shape, len(head.weight)
    weight, bias = head.weight, None if head.bias is None else head.bias.contiguous()
    pre, post = factors(head)
    flags = _flags(hidden.dtype, weight.dtype, dim, tile, precision) | {
        "BIAS": bias is not None,
        "SHAPE": "softcap" if head.softcap is not None else "plain" if pre == 1.0 else "scale",
    }
    options = {"num_warps": tile.computing_warps, "num_stages": tile.stages}
    grid = (triton.cdiv(n, min(tile.rows, tile.columns)),)
    target_kernel[grid](hidden, weight, bias, targets, logits, n, dim, pre, **flags, **options)
    h, w = hidden, weight
    if tile.descriptors and not tile.specialised:
        h = TensorDescriptor.from_tensor(hidden, [tile.rows, tile.step])
        w = TensorDescriptor.from_tensor(weight, [tile.columns, tile.step])
    flags |= {name.upper(): name in wanted for name in FIELDS} | _scan_flags(tile)
    options["num_warps"] = tile.warps
    grid = (triton.cdiv(n, tile.rows) * parts.shape[1],)
    given = (h, w, bias, targets, logits, parts, n, vocab, dim, span, pre, post * LOG2_E)
    context = copy_context()  # so that the allocator is this launch's only
    if tile.specialised:  # the kernel makes its descriptors, 128 bytes each
        context.run(triton.set_allocator, partial(_scratch, hidden.device))
    context.run(partial(scan_kernel[grid], *given, **flags, **options))


def _flags(
    hidden: torch.dtype,
    weight: torch.dtype,
    dim: int,
    tile: Tile,
    precision: Precision = "exact",
) -> dict[str, object]:
    """Constexprs that both kernels take."""
    return {
        "EVEN": dim % tile.step == 0,
        # The interpreter multiplies bf16 wrongly, without a word (triton issue 11584).
        "UPCAST": hidden != weight or (interpreting() and hidden == torch.bfloat16),
        # For fp32 operands; "ieee" would not use the tensor cores.
        "PRECISION": "tf32x3" if precision == "exact" else "tf32",
        "ROWS": tile.rows,
        "COLUMNS": tile.columns,
        "STEP": tile.step,
    }


def _scratch(device: torch.device, size: int, alignment: int, stream: int | None) -> Tensor:
    """Memory in bytes for a launch; torch gives more than the alignment that Triton asks for."""
    return torch.empty(size, dtype=torch.int8, device=device)


def _scan_flags(tile: Tile) -> dict[str, object]:
    """Constexprs of the scan alone, but for the fields."""
    return {
        "DESCRIPTORS": tile.descriptors,
        "SPECIALISED": tile.specialised,
        "HALVES": tile.halves,
    }


def _merge(parts: Tensor, logits: Tensor, post: float, wanted: Sequence[str]) -> State:
    """Partial states (fields, splits, tokens) in powers of 2, merged and in powers of e."""
    m, s = parts[0].amax(0), parts[1]
    fields = dict(zip(wanted, parts[2:], strict=True))
    to_log2 = float(torch.tensor(post * LOG2_E, dtype=torch.float32))  # as the kernel has it
    gap = parts[0] * to_log2 - m * to_log2  # rounded as in the kernel
    shrink = gap.exp2()
    # The kernel's exponents are x * to_log2, unrounded, less the rounded m * to_log2; `finish`
    # takes them to be (x - m) * to_log2.
    late = ((m * to_log2).double() - m.double() * to_log2) * math.log(2)
    late = late.masked_fill_(m < MASKED / 4, 0).float()  # every logit is masked
    late_exp = late.exp()
    total = (shrink * s).sum(0)
    # The largest logit itself counts 1, so these bounds hold but for rounding.
    state = State(target=logits * post, m=m * post, s=(total * late_exp).clamp_(min=1))
    if "entropy" in fields:
        u = (shrink * (fields["entropy"] + s * gap)).sum(0)
        state.u = ((u * math.log(2) + total * late) * late_exp).clamp_(max=0)
    if "sum_p2" in fields:
        q = (shrink * shrink * fields["sum_p2"]).sum(0)
        state.q = (q * late_exp * late_exp).clamp_(min=1)
    if "rank" in fields:
        state.above = fields["rank"].sum(0)
    return state


def compile_cases(capability: int) -> list[CompileCase]:
    """Return the kernels that the table can choose on an architecture, and the candidates.

    Args:
        capability: 80, 86, 90, ...
    """
    half, full = torch.bfloat16, torch.float32
    rows = (
        (768, half, True, True),
        (4096, half, True, False),
        (4096, half, False, True),
        (4096, half, False, False),
        (4096, full, True, True),
        (4100, half, False, True),
        (4100, full, False, True),
    )
    wanted: dict[tuple[object, Tile, torch.dtype, bool, bool, bool], None] = {}  # an ordered set
    for dim, dtype, aligned, bias in rows:
        first, *others = candidates(dim, dtype.itemsize, capability, aligned, bias)
        for tile in (first, *others):
            even = dim % tile.step == 0
            wanted[target_kernel, tile, dtype, True, True, even] = None
            wanted[scan_kernel, tile, dtype, True, bias, even] = None
        wanted[scan_kernel, first, dtype, False, False, dim % first.step == 0] = None
    return [_case(*case) for case in wanted]


def _case(
    kernel: object, tile: Tile, dtype: torch.dtype, on: bool, bias: bool, even: bool
) -> CompileCase:
    """One kernel, with a bias or not, all other flags on or off, for such a hidden size."""
    kind = TYPES[dtype]
    signature = {"h": f"*{kind}", "w": f"*{kind}", "targets": "*i64", "out": "*fp32"}
    signature |= {"n": "i32", "dim": "i32", "pre": "fp32"}
    flags = _flags(dtype, dtype, tile.step if even else 1, tile) | {"UPCAST": False}
    flags |= {"BIAS": bias, "SHAPE": "softcap" if on else "plain"}
    if bias:
        signature["bias"] = f"*{kind}"
    else:
        flags["bias"] = None
    divisible = ["dim"] if even else []
    if kernel is scan_kernel:
        signature |= {"target_logits": "*fp32", "to_log2": "fp32", "vocab": "i32", "span": "i32"}
        flags |= dict.fromkeys(map(str.upper, FIELDS), on) | _scan_flags(tile)
        divisible.append("span")
        if tile.descriptors and not tile.specialised:
            signature["h"] = f"tensordesc<{kind}[{tile.rows}, {tile.step}]>"
            signature["w"] = f"tensordesc<{kind}[{tile.columns}, {tile.step}]>"
    warps = tile.warps if kernel is scan_kernel else tile.computing_warps
    return CompileCase(kernel, signature, flags, warps, tile.stages, tuple(divisible))
