from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)  # fmt: skip
from case_runner import BASE_URL, CLASSIFY, MAX_TOKENS, MODEL, QUESTION, Review, check, report, weather
from openai import AsyncOpenAI

set_tracing_disabled(disabled=True)


def agent(**fields):
    model = OpenAIChatCompletionsModel(MODEL, AsyncOpenAI(base_url=BASE_URL, api_key="none", max_retries=0))
    settings = ModelSettings(
        max_tokens=MAX_TOKENS, temperature=0, tool_choice="required" if "tools" in fields else None
    )
    return Agent(name="shop", instructions="Be kind.", model=model, model_settings=settings, **fields)


async def chat():
    first = await Runner.run(agent(), QUESTION)
    check(first.final_output, first)
    turns = [*first.to_input_list(), {"role": "user", "content": "And then?"}]
    check((await Runner.run(agent(), turns)).final_output, turns)


async def stream():
    result = Runner.run_streamed(agent(), QUESTION)
    kinds = [event.data.type async for event in result.stream_events() if event.type == "raw_response_event"]
    check("response.output_text.delta" in kinds and result.final_output, kinds)


async def tools():
    # One call, then an agent without tools answers: a small model would call again and again.
    one_call = {"tools": [function_tool(weather)], "tool_use_behavior": "stop_on_first_tool"}
    first = await Runner.run(agent(**one_call), QUESTION)
    check(any(item.type == "tool_call_output_item" for item in first.new_items), first)
    turns = [*first.to_input_list(), {"role": "user", "content": "And then?"}]
    check((await Runner.run(agent(), turns)).final_output, turns)


async def structured():
    result = await Runner.run(agent(output_type=Review), CLASSIFY)
    check(isinstance(result.final_output, Review), result)


report({"chat": chat, "stream": stream, "tools": tools, "structured": structured})
