"""Which formats of calls and reasoning a model uses, as its chat template shows. Pure."""

import re
from typing import Final

from chatscale_contract.server.environment import ReasoningFormat, ToolFormat

MARKS: Final = {
    ToolFormat.HERMES: ("<tool_call>", "</tool_call>"),
    ToolFormat.LLAMA3: ("<|python_tag|>",),
    ToolFormat.MISTRAL: ("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"),
    ToolFormat.QWEN3_CODER: ("<tool_call>", "</tool_call>"),
    ToolFormat.HARMONY: ("<|channel|>", "<|message|>", "<|start|>", "<|constrain|>", "<|end|>", "<|call|>"),
}
"""Texts that mark the parts of a call. They are special tokens in some vocabularies."""
REASONING_MARKS: Final = {
    ReasoningFormat.THINK: ("<think>", "</think>"),
    ReasoningFormat.MISTRAL: ("[THINK]", "[/THINK]"),
    ReasoningFormat.HARMONY: MARKS[ToolFormat.HARMONY],
}
"""Texts that mark the parts of the reasoning."""


def tool_format_of(template: str) -> ToolFormat:  # noqa: PLR0911 - one for each format
    """The format that the template makes the model write; NONE if it takes no tools, or in an unsupported format."""
    if "tools" not in variables_of(template):
        return ToolFormat.NONE
    if _is_harmony(template):
        return ToolFormat.HARMONY
    if "[TOOL_CALLS]" in template:
        return ToolFormat.MISTRAL
    if "<tool_call>" in template and "<function=" in template:
        return ToolFormat.QWEN3_CODER
    # GLM writes key and value pairs between the same marks.
    if "<tool_call>" in template and "<arg_key>" not in template:
        return ToolFormat.HERMES
    if "<|python_tag|>" in template or ("<|start_header_id|>" in template and '"parameters"' in template):
        return ToolFormat.LLAMA3
    return ToolFormat.NONE


def reasoning_format_of(template: str) -> ReasoningFormat:
    """The format of the model's reasoning; NONE if the template shows none."""
    if _is_harmony(template):
        return ReasoningFormat.HARMONY
    if "<think>" in template or "</think>" in template:
        return ReasoningFormat.THINK
    return ReasoningFormat.MISTRAL if "[THINK]" in template else ReasoningFormat.NONE


def variables_of(template: str) -> frozenset[str]:
    """Variables that the template reads and does not set itself."""
    from jinja2 import Environment, TemplateError, meta

    try:
        # The template is parsed, not rendered, so autoescape does not matter.
        tree = Environment(extensions=["jinja2.ext.loopcontrols"]).parse(template)  # noqa: S701
    except TemplateError:  # a tag that only transformers supports
        return frozenset(re.findall(r"\b[a-z_]+\b", template))
    return frozenset(meta.find_undeclared_variables(tree))


def _is_harmony(template: str) -> bool:
    return "<|channel|>" in template and "<|message|>" in template
