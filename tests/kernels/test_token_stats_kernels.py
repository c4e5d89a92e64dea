"""The kernels at the edges of tiles, splits and steps; interpreted where there is no GPU."""

from dataclasses import replace

import pytest
import torch
from tamis.kernels.backend import interpreting
from tamis.kernels.logits import LMHead
from tamis.kernels.token_stats import STATS, token_stats
from tamis.tests.kernels.test_token_stats import DTYPES, problem, reference

pytest.importorskip("triton")
from tamis.kernels.tiles import Tile
from tamis.kernels.token_stats_triton import token_stats_triton

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and not interpreting(), reason="neither a GPU nor the interpreter"
)
ROUNDING = 5e-6 if DEVICE == "cpu" else 5e-5  # the interpreter does not model tensor cores


def run(hidden, head, targets, stats=STATS, **options):
    bias = None if head.bias is None else head.bias.to(DEVICE)
    head = replace(head, weight=head.weight.to(DEVICE), bias=bias)
    given = hidden.to(DEVICE), head, targets.to(DEVICE), stats
    if options:
        found = token_stats_triton(*given, **options)
    else:
        found = token_stats(*given, backend="triton")
    return {name: values.cpu() for name, values in found.items()}


def agree(found, expected, atol=ROUNDING):
    for name, values in found.items():
        if name in ("rank", "top1"):
            assert torch.equal(values.long(), expected[name].long()), name
        else:
            assert values.dtype == torch.float32
            torch.testing.assert_close(
                values.double(), expected[name], rtol=1e-5, atol=atol, msg=name
            )


def matches(hidden, head, targets, stats=STATS, atol=ROUNDING, **options):
    agree(run(hidden, head, targets, stats, **options), reference(hidden, head, targets), atol)


@pytest.mark.parametrize("descriptors", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_odd_sizes(dtype, descriptors):
    """Tokens, words and hidden size are no multiples of the tile, words none of the split."""
    hidden, weight, targets = problem(n=33, d=72, vocab=517, dtype=dtype)
    targets[:3] = torch.tensor([516, 0, 512])  # the last column, the first, the last tile
    tile = Tile(16, 64, 32, 4, 1, descriptors=descriptors)
    matches(hidden, LMHead(weight), targets, tile=tile, splits=(3, 192))


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (32, 16), (16, 128)])
def test_shapes_of_tiles(rows, columns):
    hidden, weight, targets = problem(n=35, d=40, vocab=300)
    matches(hidden, LMHead(weight), targets, tile=Tile(rows, columns, 16, 4, 1))


@pytest.mark.parametrize("vocab", [1, 2, 63, 64, 65, 128, 192, 193])
def test_words_around_the_edges_of_tiles_and_splits(vocab):
    hidden, weight, _ = problem(n=3, d=32, vocab=vocab)
    matches(hidden, LMHead(weight), torch.tensor([0, vocab // 2, vocab - 1]), splits=(2, 128))
    matches(hidden, LMHead(weight), torch.tensor([0, vocab // 2, vocab - 1]))


@pytest.mark.parametrize("splits", [(1, 576), (9, 64), (5, 128)])
def test_any_number_of_splits(splits):
    hidden, weight, targets = problem(n=17, d=32, vocab=517)
    matches(hidden, LMHead(weight), targets, splits=splits)


def test_one_dimension_and_one_token():
    for d in (1, 16, 33):
        hidden, weight, targets = problem(n=1, d=d, vocab=70)
        matches(hidden, LMHead(weight), targets)


def test_flags_do_not_shift_each_other():
    """Each of the optional fields has its place, whichever of the others are there."""
    hidden, weight, targets = problem(n=5, d=16, vocab=130)
    expected = reference(hidden, LMHead(weight), targets)
    wanted = ("entropy", "sum_p2", "rank")
    for bits in range(8):
        stats = [name for place, name in enumerate(wanted) if bits >> place & 1]
        agree(run(hidden, LMHead(weight), targets, ["loss", *stats]), expected)


def test_nothing_is_read_beyond_the_edges():
    """Rows behind the last one hold NaN: a wrong address would spread it."""
    hidden, weight, targets = problem(n=19, d=40, vocab=150)
    padded = torch.full((32, 40), float("nan"))
    padded[:19] = hidden
    wide = torch.full((200, 40), float("nan"))
    wide[:150] = weight
    bias = torch.full((200,), float("nan"))
    bias[:150] = 0.5
    matches(padded[:19], LMHead(wide[:150], bias[:150]), targets)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, in the interpreter
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_row(value):
    hidden, weight, targets = problem(n=20, d=16, vocab=70)
    expected = reference(hidden, LMHead(weight), targets)
    hidden[3, 0] = value
    found = run(hidden, LMHead(weight), targets)
    for name in ("loss", "entropy", "max_prob", "sum_p2"):
        assert torch.isnan(found[name]).nonzero().tolist() == [[3]], name
    others = torch.arange(20) != 3
    agree(
        {name: values[others] for name, values in found.items()},
        {name: values[others] for name, values in expected.items()},
    )
