import litellm
from case_runner import BASE_URL, CLASSIFY, MAX_TOKENS, MODEL, QUESTION, WEATHER_TOOL, Review, check, report

litellm.suppress_debug_info = True
SHARED = {
    "model": f"hosted_vllm/{MODEL}", "api_base": BASE_URL, "api_key": "none", "max_tokens": MAX_TOKENS,
    "num_retries": 0, "temperature": 0,
}  # fmt: skip
HELLO = [{"role": "user", "content": QUESTION}]


def chat():
    for provider in ("hosted_vllm", "openai"):
        shared = SHARED | {"model": f"{provider}/{MODEL}"}
        reply = litellm.completion(messages=HELLO, **shared).choices[0].message
        check(reply.content, reply)
        turns = [*HELLO, reply.model_dump(), {"role": "user", "content": "And then?"}]
        check(litellm.completion(messages=turns, **shared).choices[0].message.content, reply)


def stream():
    chunks = list(litellm.completion(messages=HELLO, stream=True, stream_options={"include_usage": True}, **SHARED))
    whole = litellm.stream_chunk_builder(chunks, messages=HELLO)
    check(whole.choices[0].message.content and whole.usage.completion_tokens, whole)


def tools():
    asked = SHARED | {"tools": [WEATHER_TOOL]}
    reply = litellm.completion(messages=HELLO, tool_choice="required", **asked).choices[0].message
    [call] = reply.tool_calls
    turns = [*HELLO, reply.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "It is sunny."}]
    check(litellm.completion(messages=turns, **asked).choices, reply)


def structured():
    answer = litellm.completion(messages=[{"role": "user", "content": CLASSIFY}], response_format=Review, **SHARED)
    Review.model_validate_json(answer.choices[0].message.content)


def completions():
    shared = SHARED | {"model": f"text-completion-openai/{MODEL}"}
    check(litellm.text_completion(prompt=["Once"] * 10, **shared).choices[9].text, "ten prompts")


report({"chat": chat, "stream": stream, "tools": tools, "structured": structured, "completions": completions})
