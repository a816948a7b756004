"""Small chat templates in the format of several families, and a tokenizer with their control tokens."""

from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from tests.unit.chatscale_server.tiny_models import a_tokenizer

CHATML = (
    "{%- if tools %}<|im_start|>system\n{% for t in tools %}{{ t | tojson }}{% endfor %}<tool_call><|im_end|>\n"
    "{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}{{ ' ' + m.name if m.name }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<tool_call>\n"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}'
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Hermes and Qwen2.5."""
QWEN3 = (
    "{% if tools %}{% for t in tools %}{{ t | tojson }}{% endfor %}<tool_call>{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and '</think>' in m.content %}{{ m.content.split('</think>')[-1].lstrip('\\n') }}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
)
QWEN3_CODER = CHATML.replace("<tool_call><|im_end|>", "<tool_call>\n<function=name>\n<|im_end|>")
DEEPSEEK_R1 = (
    "{% for m in messages %}{% if m.role == 'user' %}<|User|>{{ m.content }}{% else %}<|Assistant|>"
    "{{ m.content.split('</think>')[-1] }}<|eos|>{% endif %}{% endfor %}<|Assistant|><think>\n"
)
LLAMA3 = (
    "{%- if not tools is defined %}{%- set tools = none %}{%- endif %}<|begin|>"
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{% if tools is not none and loop.last %}"
    'Respond in the format {"name": function name, "parameters": arguments}.'
    "{% for t in tools %}{{ t | tojson(indent=4) }}{% endfor %}{% endif %}"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}<|start_header_id|>assistant<|end_header_id|>\n\n"
)
MISTRAL = (
    "{% for m in messages %}{% if m.role == 'user' %}"
    "{% if tools and loop.last %}[AVAILABLE_TOOLS] {{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}"
    "[INST] {{ m.content }}[/INST]{% elif m.role == 'tool' %}[TOOL_RESULTS] {{ m.content }}[/TOOL_RESULTS]"
    "{% elif m.tool_calls %}[TOOL_CALLS] {% for c in m.tool_calls %}{{ c.function | tojson }}{% endfor %}<|eos|>"
    "{% else %} {{ m.content }}<|eos|>{% endif %}{% endfor %}"
)
MAGISTRAL = MISTRAL + "{# [THINK] #}"
HARMONY = (
    "<|start|>system<|message|>Reasoning: {{ reasoning_effort or 'medium' }}<|end|>"
    "{% if tools %}<|start|>developer<|message|>{% for t in tools %}{{ t.function.name }} {{ t.function.description }}"
    "{% endfor %}<|end|>{% endif %}"
    "{% for m in messages %}{% if m.role == 'tool' %}<|start|>functions.f to=assistant<|channel|>commentary<|message|>"
    "{{ m.content | tojson }}<|end|>{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}"
    "{% endfor %}<|start|>assistant"
)
TEMPLATES = {
    "chatml": CHATML, "qwen3": QWEN3, "qwen3-coder": QWEN3_CODER, "deepseek-r1": DEEPSEEK_R1, "llama3": LLAMA3,
    "mistral": MISTRAL, "magistral": MAGISTRAL, "harmony": HARMONY,
}  # fmt: skip
SPECIAL = (
    "<|im_start|>", "<|im_end|>", "<|begin|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
    "<|python_tag|>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[ARGS]",
    "[CALL_ID]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[THINK]", "[/THINK]", "<|eos|>", "<|start|>", "<|end|>",
    "<|message|>", "<|channel|>", "<|constrain|>", "<|call|>", "<|return|>", "<|User|>",
)  # fmt: skip
NOT_SPECIAL = ("<tool_call>", "</tool_call>", "<think>", "</think>", "   ")
"""Added tokens that are text for the tokenizer. The spaces are no control token."""
VOCABULARY = 257 + len(SPECIAL) + len(NOT_SPECIAL) + 1


def a_tokenizer_with_marks() -> PreTrainedTokenizerFast:
    """One token a byte, and all control tokens. `<|Assistant|>` removes white space after it, as in Phi-3."""
    wrapper = a_tokenizer()
    inner = wrapper.backend_tokenizer
    inner.add_special_tokens([*SPECIAL, AddedToken("<|Assistant|>", rstrip=True, special=True)])
    inner.add_tokens([AddedToken(name, special=False, normalized=False) for name in NOT_SPECIAL])
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", pad_token="<end>")
