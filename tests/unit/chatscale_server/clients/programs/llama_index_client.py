from case_runner import BASE_URL, CLASSIFY, MAX_TOKENS, MODEL, QUESTION, Review, check, report, weather
from llama_index.core.llms import ChatMessage
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

SHARED = {"model": MODEL, "api_base": BASE_URL, "api_key": "none", "max_tokens": MAX_TOKENS, "max_retries": 0,
          "temperature": 0, "is_chat_model": True, "is_function_calling_model": True}  # fmt: skip
llm = OpenAILike(**SHARED)
HELLO = ChatMessage(role="user", content=QUESTION)


def chat():
    reply = llm.chat([HELLO]).message
    check(reply.content, reply)
    check(llm.chat([HELLO, reply, ChatMessage(role="user", content="And then?")]).message.content, reply)


def stream():
    check(len(list(llm.stream_chat([HELLO]))) > 1, "chunks")


def tools():
    tool = FunctionTool.from_defaults(weather)
    answer = llm.chat_with_tools([tool], user_msg=HELLO, tool_required=True)
    [call] = llm.get_tool_calls_from_response(answer)
    result = ChatMessage(role="tool", content="It is sunny.", additional_kwargs={"tool_call_id": call.tool_id})
    llm.chat_with_tools([tool], chat_history=[HELLO, answer.message, result])


def structured():
    program = FunctionCallingProgram.from_defaults(
        output_cls=Review, prompt_template_str=CLASSIFY, llm=llm, tool_required=True
    )
    check(isinstance(program(), Review), "program")


def completions():
    plain = OpenAILike(**SHARED | {"is_chat_model": False})
    check(plain.complete("Once").text, "text")
    check("".join(part.delta for part in plain.stream_complete("Once")), "stream")


report({"chat": chat, "stream": stream, "tools": tools, "structured": structured, "completions": completions})
