import pytest
import torch
from tamis.errors import ModelError
from tamis.kernels.logits import LMHead
from tamis.stages.models import load, load_tokenizer
from tamis.stages.rating_tokens import NextPass, find_tokens, plain_ids, word_logits
from tamis.tests.tiny import make_model, make_sentencepiece_like

FIVE = ("1", "2", "3", "4", "5")


def texts(tokenizer, ids):
    return [tokenizer.convert_ids_to_tokens(i) for i in ids]


def test_behind_white_space_a_rating_begins_at_once(gpt2):
    tokenizer = load_tokenizer(str(gpt2), None)
    found = find_tokens(tokenizer, "Score:\n", FIVE)
    assert texts(tokenizer, found.ids) == list(FIVE)
    assert found.space == ""


def test_a_space_may_be_a_token_of_its_own(gpt2):
    tokenizer = load_tokenizer(str(gpt2), None)
    found = find_tokens(tokenizer, "Score:", ("4", "5"))  # never seen behind a space
    assert texts(tokenizer, found.ids) == ["4", "5"]
    assert found.space == " "


def test_or_be_part_of_it(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {"Score": 0, ":": 1, "\u01201": 2, "\u01202": 3, "1": 4, "2": 5, "\u0120": 6}
    inner = Tokenizer(models.WordLevel(vocab, unk_token=":"))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found = find_tokens(PreTrainedTokenizerFast(tokenizer_object=inner), "Score:", ("1", "2"))
    assert (found.ids, found.space) == ((2, 3), "")


def test_the_manner_of_llama(tmp_path):
    tokenizer = make_sentencepiece_like(tmp_path)
    found = find_tokens(tokenizer, "##Quality:", ("1", "2", "3"))
    before = plain_ids(tokenizer, f"##Quality:{found.space}")
    for word, token in zip(("1", "2", "3"), found.ids, strict=True):
        inside = "" if found.space else " "
        whole = plain_ids(tokenizer, f"##Quality:{found.space}{inside}{word}")
        assert whole == [*before, token]


def test_ratings_of_several_tokens_are_refused(gpt2):
    tokenizer = load_tokenizer(str(gpt2), None)
    with pytest.raises(ModelError, match=r"'10' takes \d behind"):
        find_tokens(tokenizer, "Score:", ("9", "10"))


def test_they_are_other_ids_in_other_tokenizers(gpt2, llama, tmp_path):
    """The published SelectIT has the ids of one tokenizer written into it."""
    other = make_sentencepiece_like(tmp_path)
    ids = {
        find_tokens(t, "Score:\n", FIVE[:3]).ids for t in (other, load_tokenizer(str(gpt2), None))
    }
    assert len(ids) == 2


OTHERS = [pytest.param(family, marks=pytest.mark.slow) for family in ("llama", "gemma2", "cohere")]


@pytest.mark.parametrize("family", ["gpt2", *OTHERS])
def test_against_the_models_own_logits(family, tmp_path):
    from transformers import AutoModelForCausalLM

    folder = make_model(tmp_path / family, family)
    lm = load(str(folder))
    generator = torch.Generator().manual_seed(0)
    sequences = [torch.randint(4, 300, (n,), generator=generator).tolist() for n in (3, 17, 9)]
    words = [40, 7, 99]
    found = NextPass(lm, sequences, words, 64, with_mass=True).run()
    own = AutoModelForCausalLM.from_pretrained(folder)
    for place, ids in enumerate(sequences):
        with torch.inference_mode():
            full = torch.softmax(own(torch.tensor([ids])).logits[0, -1].double(), 0)
        mass = float(full[words].sum())
        assert found.mass[place] == pytest.approx(mass, rel=1e-4)
        assert found.probabilities[place] == pytest.approx((full[words] / mass).numpy(), rel=1e-4)
    assert list(found.status) == ["ok"] * 3
    assert found.tokens == 29


def test_a_text_does_not_depend_on_its_batch(gpt2):
    lm = load(str(gpt2))
    sequences = [list(range(10, 10 + n)) for n in (5, 6, 30, 31, 32)]
    together = NextPass(lm, sequences, [40, 41], 1 << 20, with_mass=False).run()
    alone = NextPass(lm, sequences, [40, 41], 1, with_mass=False).run()
    assert together.mass is None
    assert together.probabilities == pytest.approx(alone.probabilities, rel=1e-5)


def test_states_that_are_not_finite(gpt2):
    lm = load(str(gpt2))
    with torch.no_grad():
        lm.backbone.get_input_embeddings().weight[9] = float("nan")
    found = NextPass(lm, [[9, 20], [20, 21]], [40, 41], 64, with_mass=True).run()
    assert list(found.status) == ["not_finite", "ok"]


def test_few_words_have_the_logits_of_all():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(50, 8, generator=generator)
    states, bias = torch.randn(3, 8, generator=generator), torch.randn(50, generator=generator)
    head = LMHead(weight, bias, scale=0.5, softcap=3.0)
    found = word_logits(states, head, torch.tensor([7, 3]))
    whole = 3.0 * torch.tanh(0.5 * (states @ weight.T + bias) / 3.0)
    torch.testing.assert_close(found, whole[:, [7, 3]], rtol=1e-4, atol=1e-4)
