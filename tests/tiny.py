"""Tiny random models and tokenizers, made on the spot; enough to be run for real."""

import json
import shutil
from pathlib import Path

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

TEXTS = [
    "Name the capital of France. The capital of France is Paris.",
    "Sort the numbers 3 1 2. The sorted numbers are 1 2 3.\n",
    "What is 12 + 30? 12 + 30 = 42\n\nIt is forty-two.",
    "### Instruction:\nWrite a word.\n\n### Response:hello world",
    "USER: hi ASSISTANT: Grüße, 世界! 🙂 naïve café",
]

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# One small shape for every family; what a family lacks it ignores.
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}


def make_tokenizer(folder: Path, bos: bool, vocab: int = 320) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer, with or without a BOS that it adds by itself."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<s>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([*TEXTS, "\n\n" * 50], trainer)
    if bos:
        inner.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", inner.token_to_id("<s>"))]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|end|>",
        bos_token="<s>" if bos else "<|end|>",
        chat_template=CHATML,
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_sentencepiece_like(folder: Path) -> PreTrainedTokenizerFast:
    """A tokenizer in Llama's manner: spaces become a letter, one is put in front, and BOS."""
    inner = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "<s>", "</s>", *bytes_], show_progress=False
    )
    inner.train_from_iterator(TEXTS, trainer)
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", inner.token_to_id("<s>"))]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_model(
    folder: Path, family: str, bos: bool = False, seed: int = 0, **shape: object
) -> Path:
    """A random causal LM of a family with a tokenizer, in one folder."""
    tokenizer = make_tokenizer(folder, bos)
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        family, vocab_size=len(tokenizer), **(SHAPE | FAMILIES.get(family, {}) | shape)
    )
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # larger weights than the usual start, so that losses differ
        for name, weight in model.named_parameters():
            weight.copy_(torch.randn_like(weight) * (0.3 if weight.ndim > 1 else 0.05))
            if weight.ndim == 1 and name.endswith("weight"):  # of a norm
                weight.add_(1.0)
    model.save_pretrained(folder)
    return folder


# What a family wants beside `SHAPE`.
FAMILIES: dict[str, dict[str, object]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512},
    "qwen3": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 64},
    "gpt_neox": {"rotary_pct": 0.25},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 16},
    "granite": {"logits_scaling": 4.0, "embedding_multiplier": 2.0, "attention_multiplier": 0.1},
    "cohere": {"logit_scale": 0.25},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 32,
        "decoder_sparse_step": 1,
    },
    "falcon_h1": {},
}


def conversation(
    instruction: str, answer: str, extra: str = "", system: str = ""
) -> dict[str, object]:
    """A row of the pool with one turn."""
    user = f"{instruction}\n{extra}" if extra else instruction
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    return {
        "messages": messages,
        "tools": None,
        "input_start": len(instruction) + 1 if extra else None,
    }


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    """Rows as JSON Lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def alpaca(n: int, seed: int = 0) -> list[dict[str, object]]:
    """Rows in Alpaca's shape, of different lengths, all distinct."""
    generator = torch.Generator().manual_seed(seed)
    words = " ".join(TEXTS).split()
    rows = []
    for i in range(n):
        size = torch.randint(3, 30, (2,), generator=generator).tolist()
        picks = [torch.randint(len(words), (k,), generator=generator).tolist() for k in size]
        question, answer = (" ".join(words[p] for p in pick) for pick in picks)
        extra = f"part {i}" if i % 3 == 0 else ""
        rows.append({"instruction": f"{question} ({i})", "input": extra, "output": answer})
    return rows


def mixed_rows() -> list[dict[str, object]]:
    """A row with a tool, one with two answers, and three plain ones, as OpenAI messages."""
    call = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    tool = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "tool_calls": call},
        {"role": "tool", "content": "42", "tool_call_id": "c"},
        {"role": "assistant", "content": "a"},
    ]
    turns = [{"role": r, "content": c} for r, c in (("user", "x"), ("assistant", "y")) * 2]
    plain = [
        [{"role": "user", "content": str(r["instruction"])}, {"role": "assistant", "content": "b"}]
        for r in alpaca(3)
    ]
    tools = [{"type": "function", "function": {"name": "f"}}]
    return [
        {"messages": tool, "tools": tools},
        {"messages": turns},
        *({"messages": messages} for messages in plain),
    ]


def broken_model(model: Path, folder: Path, text: str = "§") -> Path:
    """A copy of a model whose embeddings of inputs break where a text has this character.

    Its LM head must be a matrix of its own.
    """
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    lm = AutoModelForCausalLM.from_pretrained(model)
    with torch.no_grad():
        lm.get_input_embeddings().weight[tokenizer(text)["input_ids"][-1]] = float("nan")
    lm.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_text_encoder(folder: Path, seed: int = 0, dense: bool = False) -> Path:
    """A random model in the format of sentence-transformers: BERT, mean, length 1."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import BertConfig, BertModel

    words = sorted({word for text in TEXTS for word in text.lower().split()})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocab = {word: place for place, word in enumerate([*special, *words, *"0123456789()query:"])}
    inner = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=24, **names)
    torch.manual_seed(seed)
    shape = SHAPE | {"vocab_size": len(vocab), "max_position_embeddings": 40}
    bert = BertModel(BertConfig(**shape), add_pooling_layer=False)
    with torch.no_grad():  # larger weights than the usual start, so that vectors differ
        for weight in bert.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.randn_like(weight) * 0.3)
    bert.save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    transformer = modules.Transformer(str(folder / "bert"))
    shutil.rmtree(folder / "bert")
    parts = [transformer, modules.Pooling(32, "mean")]
    if dense:
        parts.append(modules.Dense(32, 16))
    whole = SentenceTransformer(
        modules=[*parts, modules.Normalize()], device="cpu", prompts={"query": "query: "}
    )
    whole.save_pretrained(str(folder), create_model_card=False)
    return folder
