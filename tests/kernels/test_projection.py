import itertools
import math

import pytest
import torch
from tamis.kernels import projection
from tamis.kernels.projection import INPUTS, OUTPUTS, project, project_kronecker, sign_matrix

WORD = 0xFFFFFFFF


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mix(x):
    x &= WORD
    x = (x ^ (x >> 16)) * 0x21F0AAAD & WORD
    x = (x ^ (x >> 15)) * 0x735A2D97 & WORD
    return x ^ (x >> 15)


def sign(seed, i, j, stream=0):
    """The documented function, by Python's integers."""
    root = mix(mix(seed & WORD) ^ (seed >> 32))
    row_key = mix(mix(root + 0x9E3779B9 * (2 * stream + 1)) ^ (i >> 32))
    column_key = mix(root + 0x9E3779B9 * (2 * stream + 2))
    word = mix(mix(i & WORD ^ row_key) ^ mix(j // 32 ^ column_key))
    return -1 if word >> (31 - j % 32) & 1 else 1


def words(seed, first, stream=0):
    bits = sign_matrix(seed, 64, range(first, first + 2), stream) < 0
    return [[int("".join("01"[b] for b in half), 2) for half in row.view(2, 32)] for row in bits]


# A change here changes every stored projection.
GOLDEN = [
    [[0x47D63BF0, 0xD8A208BA], [0xCDE21639, 0xC0275C42]],
    [[0x1488A7CF, 0x2F43AA4D], [0x73FAE39D, 0xD8F04656]],
    [[0x9E2F647F, 0x1D6F07DE], [0x72B14D75, 0xDA3804EB]],
]


def test_golden_words():
    assert words(0, 0) == GOLDEN[0]
    assert words(12345678901234, (7 << 32) + 5) == GOLDEN[1]
    assert words(3, 1000, OUTPUTS) == GOLDEN[2]


@pytest.mark.parametrize("seed", [0, 1, 2**40 + 3, 2**63 - 1])
@pytest.mark.parametrize("first", [0, 2**31 - 2, 2**32 - 2, 2**62])
@pytest.mark.parametrize("stream", [0, 1, 2])
def test_signs_are_the_documented_function(seed, first, stream):
    found = sign_matrix(seed, 70, range(first, first + 5), stream)
    assert found.tolist() == [
        [sign(seed, i, j, stream) for j in range(70)] for i in range(first, first + 5)
    ]


def test_statistics_of_signs():
    """Sums of independent signs, in standard deviations: mean, columns, rows, pairs and fours."""
    p, k = 8192, 2048
    signs = sign_matrix(0, k, range(p))
    assert abs(signs.mean()) * math.sqrt(p * k) < 4
    assert signs.sum(0).abs().max() / math.sqrt(p) < 5
    assert signs.sum(1).abs().max() / math.sqrt(k) < 5
    for matrix in (signs, signs.T):  # of columns, then of rows
        some = matrix[:, :2048]
        pairs = (some.T @ some / math.sqrt(len(matrix))).fill_diagonal_(0)
        assert pairs.abs().max() < 6.2  # of 2e6 pairs
        assert pairs.square().mean() == pytest.approx(1 - 1 / 2048, abs=0.005)
    lagged = signs[:, :-1] * signs[:, 1:]  # neighbours in one word
    assert (lagged[:-1] * lagged[1:]).mean().abs() * math.sqrt(p * k) < 4
    other = sign_matrix(1, k, range(p))
    assert abs((signs * other).mean()) * math.sqrt(p * k) < 4


def test_seeds_streams_and_layers_differ():
    found = [
        sign_matrix(s, 64, range(f, f + 64), t)
        for s, f, t in [
            (0, 0, 0),
            (1, 0, 0),
            (1 << 32, 0, 0),
            (0, 0, 1),
            (0, 0, 2),
            (0, 1 << 32, 0),
        ]
    ]
    for a in range(len(found)):
        for b in range(a):
            assert abs((found[a] * found[b]).mean()) < 5 / 64


@pytest.mark.parametrize("k", [256, 1024, 4096])
def test_inner_products_are_kept(k):
    """The error of a cosine of unit vectors has variance (1 + c^2) / k."""
    x = torch.nn.functional.normalize(normal(40, 3000) + 0.5 * normal(1, 3000, seed=1))
    low = project(x, 5, k)
    c = x @ x.T
    off = ~torch.eye(40, dtype=torch.bool)
    errors = ((low @ low.T - c) / ((1 + c * c) / k).sqrt())[off]
    assert errors.square().mean().sqrt() == pytest.approx(1, abs=0.25)
    assert errors.abs().max() < 5.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_equals_the_product_with_the_matrix(dtype):
    x = normal(7, 5000).to(dtype)
    expected = x.double() @ sign_matrix(9, 1100, range(3, 5003)).double() / math.sqrt(1100)
    found = project(x, 9, 1100, first=3)
    assert found.dtype == torch.float32
    assert error(found, expected, x) < 4e-6


def error(found, expected, x):
    """Largest difference, in units of ``|x| / sqrt(k)``."""
    typical = x.double().norm(dim=1, keepdim=True) / math.sqrt(expected.shape[1])
    return ((found - expected).abs() / typical).max().item()


def test_pieces_add_up():
    x = normal(3, 1000)
    cuts = [0, 1, 333, 900, 1000]
    parts = [project(x[:, a:b], 1, 100, a) for a, b in itertools.pairwise(cuts)]
    assert error(sum(parts), project(x, 1, 100), x) < 4e-6
    over = 2**32 - 500  # the high word changes inside
    both = project(x[:, :500], 1, 100, over) + project(x[:, 500:], 1, 100, over + 500)
    assert error(both, project(x, 1, 100, over), x) < 4e-6


def test_block_sizes_change_rounding_only(monkeypatch):
    x = normal(9, 2000)
    expected = project(x, 1, 200)
    for name, value in (("BLOCK", 77), ("COLUMNS", 64), ("ROWS", 4), ("PIECE", 500)):
        monkeypatch.setattr(projection, name, value)
        assert error(project(x, 1, 200), expected, x) < 4e-6


def test_narrow_is_the_start_of_wide():
    x = normal(2, 300)
    wide = project(x, 4, 1500)[:, :40] * math.sqrt(1500 / 40)
    assert error(wide, project(x, 4, 40), x) < 4e-6


def test_strides_and_gradients_of_inputs():
    x = normal(50, 8)
    expected = project(x.T.contiguous(), 0, 33)
    assert error(project(x.T.requires_grad_(), 0, 33), expected, x.T) < 4e-6
    assert torch.equal(project(expected, 0, 5), project(expected, 0, 5))


def test_nothing():
    assert project(torch.empty(0, 10), 0, 5).shape == (0, 5)
    assert project(torch.empty(2, 0), 0, 5).tolist() == [[0.0] * 5] * 2
    none = torch.empty(0, dtype=torch.int64)
    empty = project_kronecker(torch.empty(0, 4), torch.empty(0, 3), none, 2, 0, (2, 2))
    assert empty.tolist() == [[0.0] * 4] * 2


def kronecker_case(tokens=40, rows=4, d_out=12, d_in=9):
    generator = torch.Generator().manual_seed(3)
    owner = torch.randint(0, rows - 1, (tokens,), generator=generator)  # the last row has no token
    return normal(tokens, d_out), normal(tokens, d_in, seed=1), owner


@pytest.mark.parametrize("layer", [0, 5])
def test_kronecker_is_a_kronecker_product(layer):
    g, a, owner = kronecker_case()
    k, first = (6, 40), layer << 32
    s_out = sign_matrix(2, k[0], range(first, first + 12), OUTPUTS)
    s_in = sign_matrix(2, k[1], range(first, first + 9), INPUTS)
    gradients = torch.zeros(4, 12, 9).index_add(0, owner, g[:, :, None] * a[:, None, :])
    expected = gradients.flatten(1) @ torch.kron(s_out, s_in) / math.sqrt(6 * 40)
    found = project_kronecker(g, a, owner, 4, 2, k, layer)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not found[3].any()


def test_kronecker_token_blocks(monkeypatch):
    g, a, owner = kronecker_case(tokens=5000)
    expected = project_kronecker(g, a, owner, 4, 2, (8, 8))
    monkeypatch.setattr(projection, "TOKENS_BYTES", 1)
    found = project_kronecker(g.bfloat16().float(), a, owner, 4, 2, (8, 8))
    torch.testing.assert_close(found, expected, atol=0.02 * expected.abs().max().item(), rtol=0)
    found = project_kronecker(g, a, owner, 4, 2, (8, 8))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-5)


def test_kronecker_keeps_inner_products():
    g, a, owner = kronecker_case(tokens=300, rows=30, d_out=50, d_in=60)
    gradients = (
        torch.zeros(30, 50, 60).index_add(0, owner, g[:, :, None] * a[:, None, :]).flatten(1)
    )
    low = project_kronecker(g, a, owner, 30, 0, (64, 64))[:29]
    true = torch.nn.functional.normalize(gradients[:29])
    cosines = true @ true.T
    found = torch.nn.functional.normalize(low) @ torch.nn.functional.normalize(low).T
    assert (found - cosines).square().mean().sqrt() < 3 / 64


def test_variance_of_kronecker_for_rank_one():
    """The documented price: 2/k_out + 2/k_in."""
    g, a = (torch.nn.functional.normalize(normal(1, 200, seed=s)) for s in (0, 1))
    owner = torch.zeros(1, dtype=torch.int64)
    squares = [project_kronecker(g, a, owner, 1, s, (32, 64)).square().sum() for s in range(400)]
    found = torch.stack(squares)
    assert found.mean() == pytest.approx(1, abs=0.06)
    assert found.var() == pytest.approx(2 / 32 + 2 / 64, rel=0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(3), 0, 4), r"\(3,\)"),
        ((torch.zeros(3, 2, dtype=torch.int64), 0, 4), "int64"),
        ((torch.zeros(3, 2), -1, 4), "-1"),
        ((torch.zeros(3, 2), 2**63, 4), str(2**63)),
        ((torch.zeros(3, 2), 0, 0), "got 0"),
        ((torch.zeros(3, 2), 0, 4, -5), "got -5"),
        ((torch.zeros(3, 2), 0, 4, 2**63 - 2), str(2**63 - 2)),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        project(*arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": torch.zeros(39, 9)}, r"\(39, 9\)"),
        ({"owner": torch.zeros(40)}, "float32"),
        ({"n_rows": 2}, r"\[0, 2\); got 0 to 2"),
        ({"n_rows": -1}, "got -1"),
        ({"k": (2, 2, 2)}, r"\(2, 2, 2\)"),
        ({"k": (2, 0)}, "got 0"),
        ({"layer": -1}, "got -1"),
        ({"seed": -3}, "got -3"),
    ],
)
def test_kronecker_errors(change, message):
    g, a, owner = kronecker_case()
    given = {"outputs": g, "inputs": a, "owner": owner, "n_rows": 4, "seed": 0, "k": (2, 2)}
    with pytest.raises(ValueError, match=message):
        project_kronecker(**given | change)


def test_sign_matrix_takes_ranges_of_step_1():
    with pytest.raises(ValueError, match="step 1"):
        sign_matrix(0, 4, range(0, 4, 2))
