from case_runner import BASE_URL, CLASSIFY, MAX_TOKENS, MODEL, QUESTION, Review, check, report, weather
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI

SHARED = {"base_url": BASE_URL, "api_key": "none", "model": MODEL, "max_tokens": MAX_TOKENS, "max_retries": 0,
          "temperature": 0}  # fmt: skip
chat_model = ChatOpenAI(**SHARED)


def chat():
    turns = [HumanMessage(QUESTION)]
    reply = chat_model.invoke(turns)
    check(reply.content and reply.usage_metadata["output_tokens"], reply)
    check(chat_model.invoke([*turns, reply, HumanMessage("And then?")]).content, reply)
    check(len(chat_model.batch([QUESTION] * 6)) == 6, "batch")


def stream():
    chunks = list(chat_model.stream(QUESTION, stream_usage=True))
    check(sum(bool(chunk.content) for chunk in chunks) > 1, chunks)
    check(sum((chunk.usage_metadata or {}).get("output_tokens", 0) for chunk in chunks) > 1, chunks)


def tools():
    bound = chat_model.bind_tools([tool(weather)], tool_choice="required", strict=True)
    turns = [HumanMessage(QUESTION)]
    reply = bound.invoke(turns)
    [call] = reply.tool_calls
    check(call["name"] == "weather" and "city" in call["args"], reply)
    result = ToolMessage(weather(call["args"]["city"]), tool_call_id=call["id"])
    chat_model.bind_tools([tool(weather)]).invoke([*turns, reply, result])


def structured():
    for method in ("json_schema", "function_calling"):
        found = chat_model.with_structured_output(Review, method=method).invoke(CLASSIFY)
        check(isinstance(found, Review), (method, found))


def completions():
    texts = OpenAI(**SHARED).batch(["Once"] * 10)
    check(len(texts) == 10 and all(texts), texts)
    together = OpenAI(**SHARED).generate(["Once"] * 10)
    check(len(together.generations) == 10, together)


report({"chat": chat, "stream": stream, "tools": tools, "structured": structured, "completions": completions})
