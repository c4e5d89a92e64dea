"""Messages to text, cut into turns: what the model sees before each answer, and the answer.

Templates render one turn: everything since the answer before it. They are Jinja strings over

    instruction  the user's words of this turn (and tool results, joined by newlines)
    input        the Alpaca `input` of the first turn, or ""
    system       the system message of the first turn, or ""
    turn         0 for the first turn, 1 for the second, …

and run in the sandbox. The *header* is the end of the context that stays when an answer is scored
alone, as the published IFD code keeps `### Response:`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jinja2
import jinja2.sandbox

from ..errors import ConfigError
from .base import plain_json

if TYPE_CHECKING:  # heavy
    from transformers import PreTrainedTokenizerBase

NONE = """\
{%- if turn %}\n{% endif %}{% if system %}{{ system }}\n{% endif %}\
{{ instruction }}\n{% if input %}{{ input }}\n{% endif %}"""

# Stanford Alpaca's prompt, as Cherry_LLM uses it; a system message takes the preamble's place.
ALPACA = """\
{%- if turn %}\n\n{% elif system %}{{ system }}\n\n{% elif input -%}
Below is an instruction that describes a task, paired with an input that provides further context. \
Write a response that appropriately completes the request.\n\n{% else -%}
Below is an instruction that describes a task. \
Write a response that appropriately completes the request.\n\n{% endif -%}
### Instruction:\n{{ instruction }}\n\n\
{% if input %}### Input:\n{{ input }}\n\n{% endif %}### Response:"""

VICUNA = """\
{%- if turn %} {% elif system %}{{ system }} {% else -%}
A chat between a curious user and an artificial intelligence assistant. The assistant gives \
helpful, detailed, and polite answers to the user's questions. {% endif -%}
USER: {{ instruction }}{% if input %}\nInput:\n{{ input }}{% endif %} ASSISTANT:"""

BUILT_IN = {
    "none": (NONE, ""),
    "alpaca": (ALPACA, "### Response:"),
    "vicuna": (VICUNA, "ASSISTANT:"),
}


class TemplateMismatch(ValueError):
    """A chat template that rewrites earlier turns, so that a conversation has no turns in it."""


@dataclass(frozen=True)
class Turn:
    """One answer and what stands before it.

    Attributes:
        context: text since the answer before this one.
        header: the end of `context` that stays when the answer is scored alone.
        answer: the text with loss.
        after: what a chat template puts after the answer where the conversation ends with it.
    """

    context: str
    header: str
    answer: str
    after: str = ""


def check_template(template: str) -> None:
    """Raise if a template is neither a built-in name nor a Jinja string that compiles.

    Raises:
        ConfigError: with the names that are allowed, or the template's own error.
    """
    if template in BUILT_IN or template == "chat":
        return
    if "{{" not in template:
        names = ", ".join([*BUILT_IN, "chat"])
        raise ConfigError(f"template {template!r} is not one of {names}, nor a Jinja string")
    try:
        compiled(template).render(turn=0, instruction="a", input="b", system="c")
    except Exception as error:  # a template is code: it may raise anything
        raise ConfigError(f"template {template!r} is not valid: {error!r}") from error


def turns(
    row: Mapping[str, Any], template: str, tokenizer: "PreTrainedTokenizerBase | None" = None
) -> list[Turn]:
    """Return the turns of one row.

    Args:
        row: `messages`, `tools` and `input_start` as in `stages.base.ROWS`.
        template: none, alpaca, vicuna, chat or a Jinja string.
        tokenizer: for `chat`: the tokenizer whose own template is used.

    Raises:
        TemplateMismatch: the chat template does not keep earlier turns as they were, or refuses
            the conversation.
    """
    if template == "chat":
        if tokenizer is None:
            raise ValueError("the template 'chat' needs a tokenizer")
        return _chat_turns(row, tokenizer)
    text, header = BUILT_IN.get(template, (template, ""))
    made = compiled(text)
    found: list[Turn] = []
    for fields in spoken(row):
        answer = fields.pop("answer")
        try:
            context = made.render(turn=len(found), **fields)
        except Exception as error:  # a template is code: it may raise anything
            raise TemplateMismatch(str(error)) from error
        found.append(Turn(context, header, answer))
    return found


def answer_text(message: Mapping[str, Any]) -> str:
    """Return the text of an assistant message; tool calls are written as JSON after it."""
    parts = [message["content"] or "", message.get("tool_calls") or ""]
    return "\n".join(part for part in parts if part)


def spoken(row: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return for each answer of a row what was said since the one before it, and the answer.

    Args:
        row: `messages` and `input_start` as in `stages.base.ROWS`.

    Returns:
        `system`, `instruction`, `input` and `answer` of each turn.
    """
    found: list[dict[str, str]] = []
    pending: list[Mapping[str, Any]] = []
    for message in row["messages"]:
        if message["role"] != "assistant":
            pending.append(message)
            continue
        fields = _turn_fields(pending, row["input_start"] if not found else None)
        found.append(fields | {"answer": answer_text(message)})
        pending = []
    return found


@lru_cache(maxsize=64)
def compiled(text: str) -> jinja2.Template:
    """Return a template that runs in the sandbox, and in which every name must be known."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(text)


def _turn_fields(messages: list[Mapping[str, Any]], input_start: int | None) -> dict[str, str]:
    system = [m["content"] or "" for m in messages if m["role"] == "system"]
    said = "\n".join(m["content"] or "" for m in messages if m["role"] != "system")
    fields = {"system": "\n".join(system), "instruction": said, "input": ""}
    if input_start is not None:
        fields |= {"instruction": said[: input_start - 1], "input": said[input_start:]}
    return fields


def _chat_turns(row: Mapping[str, Any], tokenizer: "PreTrainedTokenizerBase") -> list[Turn]:
    """Cut the rendered conversation at its answers.

    Each answer is also rendered as a marker, which shows exactly what the template puts before and
    after it; then the whole conversation must be the pieces put together.
    """
    messages = [_open_ai_message(message) for message in row["messages"]]
    tools = json.loads(row["tools"]) if row["tools"] else None
    whole = _render(tokenizer, messages, tools)
    found: list[Turn] = []
    done = 0  # characters of `whole` up to the end of the answer before
    for place, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        if message.get("tool_calls"):
            raise TemplateMismatch("answers that call tools are not cut out of a chat template")
        before = len(_render(tokenizer, messages[:place], tools)) if place else 0
        marked = _render(tokenizer, [*messages[:place], message | {"content": MARKER}], tools)
        header, _, after = marked[before:].partition(MARKER)
        answer = message["content"]
        if not whole.startswith(marked[:before] + header + answer):
            answer = answer.strip()  # many templates strip
        start = before + len(header)
        if MARKER not in marked or not whole.startswith(marked[:before] + header + answer):
            raise TemplateMismatch("the chat template does not keep this conversation's turns")
        found.append(Turn(whole[done:start], header, answer, after))
        done = start + len(answer)
    return found


MARKER = "\u2402answer\u2403"


def _render(
    tokenizer: "PreTrainedTokenizerBase", messages: list[dict[str, Any]], tools: list[Any] | None
) -> str:
    try:
        return str(tokenizer.apply_chat_template(messages, tools=tools, tokenize=False))
    except Exception as error:  # a template is code: it may raise anything
        raise TemplateMismatch(f"the chat template refuses this conversation: {error}") from error


def _open_ai_message(message: Mapping[str, Any]) -> dict[str, Any]:
    plain = plain_json(message)
    if "tool_calls" in plain:
        plain["tool_calls"] = json.loads(plain["tool_calls"])
    return plain
