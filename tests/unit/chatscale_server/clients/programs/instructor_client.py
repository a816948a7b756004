import instructor
import openai
from case_runner import BASE_URL, CLASSIFY, MAX_TOKENS, MODEL, Review, check, report

QUESTION = [{"role": "user", "content": CLASSIFY}]


def client(mode):
    plain = openai.OpenAI(base_url=BASE_URL, api_key="none", max_retries=0)
    return instructor.from_openai(plain, mode=mode)


def review(mode):
    found = client(mode).chat.completions.create(
        model=MODEL, messages=QUESTION, response_model=Review, max_tokens=MAX_TOKENS, temperature=0, max_retries=1
    )
    check(isinstance(found, Review), found)


def structured():
    review(instructor.Mode.JSON_SCHEMA)


def tools():
    review(instructor.Mode.TOOLS)


def stream():
    parts = client(instructor.Mode.JSON_SCHEMA).chat.completions.create_partial(
        model=MODEL, messages=QUESTION, response_model=Review, max_tokens=MAX_TOKENS, temperature=0
    )
    check(list(parts)[-1].refund in {True, False}, "last part")


report({"stream": stream, "tools": tools, "structured": structured})
