from case_runner import BASE_URL, CLASSIFY, MAX_TOKENS, MODEL, QUESTION, Review, check, report, weather
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

SETTINGS = {"max_tokens": MAX_TOKENS, "temperature": 0}


def agent(**fields):
    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=BASE_URL, api_key="none"))
    return Agent(model, model_settings=SETTINGS, **fields)


async def chat():
    first = await agent(instructions="Be kind.").run(QUESTION)
    check(first.output and first.usage.output_tokens, first)
    check((await agent().run("And then?", message_history=first.all_messages())).output, first)


async def stream():
    async with agent().run_stream(QUESTION) as result:
        parts = [part async for part in result.stream_text(delta=True, debounce_by=None)]
    check(len(parts) > 1, parts)


async def tools():
    result = await agent(tools=[weather]).run(QUESTION)
    check(result.output is not None, result)


async def structured():
    for output in (NativeOutput(Review), Review):
        check(isinstance((await agent(output_type=output).run(CLASSIFY)).output, Review), output)


report({"chat": chat, "stream": stream, "tools": tools, "structured": structured})
