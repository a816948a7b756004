import openai
from case_runner import BASE_URL, CLASSIFY, MAX_TOKENS, MODEL, QUESTION, WEATHER_TOOL, Review, check, report

client = openai.OpenAI(base_url=BASE_URL, api_key="none", max_retries=0)
HELLO = [{"role": "user", "content": QUESTION}]


def chat():
    first = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=MAX_TOKENS, temperature=0)
    reply = first.choices[0].message
    check(reply.content, reply)
    turns = [*HELLO, reply.model_dump(), {"role": "user", "content": "And then?"}]
    second = client.chat.completions.create(model=MODEL, messages=turns, max_tokens=MAX_TOKENS, temperature=0)
    check(second.usage.prompt_tokens_details.cached_tokens > 0, second.usage)
    check(client.models.retrieve(MODEL).id == MODEL, MODEL)


def stream():
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=HELLO, max_tokens=MAX_TOKENS, temperature=0, stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    check(text and chunks[-1].usage.completion_tokens, chunks)
    check(all(chunk.usage is None for chunk in chunks[:-1]), chunks)


def tools():
    asked = {"model": MODEL, "messages": HELLO, "tools": [WEATHER_TOOL], "max_tokens": MAX_TOKENS, "temperature": 0}
    reply = client.chat.completions.create(**asked, tool_choice="required").choices[0].message
    [call] = reply.tool_calls
    turns = [*HELLO, reply, {"role": "tool", "tool_call_id": call.id, "content": "It is sunny."}]
    answer = client.chat.completions.create(**{**asked, "messages": turns})
    check(answer.choices[0].finish_reason in {"stop", "length", "tool_calls"}, answer)


def structured():
    answer = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": CLASSIFY}],
        response_format=Review,
        max_tokens=MAX_TOKENS,
        temperature=0,
    )
    check(isinstance(answer.choices[0].message.parsed, Review), answer)
    turns = [{"role": "user", "content": CLASSIFY}, answer.choices[0].message.model_dump(), *HELLO]
    client.chat.completions.create(model=MODEL, messages=turns, max_tokens=1)


def completions():
    answer = client.completions.create(model=MODEL, prompt=["Once"] * 10, max_tokens=5)
    check([choice.index for choice in answer.choices] == [*range(10)], answer)


report({"chat": chat, "stream": stream, "tools": tools, "structured": structured, "completions": completions})
