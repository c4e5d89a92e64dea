"""Trains the small language model of the quickstart from scratch and writes it.

Run from anywhere: ``python configs/quickstart/make_model.py [--out DIR] [--steps N]``. It learns
from clean rows alone, and never from a question of the pool. The same arguments and number of
threads give the same weights on one machine; another processor or another release of torch gives
slightly different ones.
"""

import argparse
import time
from itertools import islice
from pathlib import Path
from random import Random

import torch
from make_pool import POOL_ROWS, drawn_rows, pool_rows
from separation import MEASURED_SEEDS, MODEL_FOLDER, report
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from training import Schedule, train
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
VOCABULARY = 1536
WINDOW = 512
STEPS = 6000
TOKENIZER_ROWS = 20_000
TOKENIZER_SEED = 2000


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Returns a byte-level BPE tokenizer, trained on clean rows, that adds the BOS token."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rows = islice(drawn_rows(Random(TOKENIZER_SEED), frozenset()), TOKENIZER_ROWS)
    bpe.train_from_iterator(
        (row.example.question.prompt + row.example.output for row in rows), trainer
    )
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B:1", special_tokens=[(BOS, bpe.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=WINDOW,
        clean_up_tokenization_spaces=False,
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Returns the untrained model: about three million weights, embeddings tied."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=WINDOW,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    # At this length the plain attention trains a third faster on a processor than the fused one.
    model.set_attn_implementation("eager")
    return model


def main() -> None:
    """Trains the model, writes it in half precision and prints what it separates."""
    parser = argparse.ArgumentParser(description="Train the model of the quickstart.")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=POOL_ROWS, help="rows of the measured pools")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    start = time.monotonic()
    train(
        model,
        tokenizer,
        Schedule(steps=args.steps, seed=args.seed),
        frozenset(row.question for seed in MEASURED_SEEDS for row in pool_rows(seed, POOL_ROWS)),
    )
    model.half().save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    print(f"{model.num_parameters()} weights, {time.monotonic() - start:.0f} s, in {args.out}")
    report(args.out, args.rows)


if __name__ == "__main__":
    main()
