"""`chatscale chat` as a process, against a gateway process and a replica: the simulated server, or one of the test."""

import json
import re
from pathlib import Path

import aiohttp

from tests.support.gateway_pods import serving
from tests.support.terminal import CTRL_C, CTRL_D, ESC_ENTER, in_a_terminal
from tests.unit.chatscale_cli.chat.processes import (
    CHAT,
    KEY,
    REPLICA_POD,
    Replica,
    a_cluster_with_a_key,
    environment,
    in_a_pipe,
    running,
    serving_replica,
    serving_simulated,
)
from tests.unit.chatscale_cli.gateway.test_port_forward import FakeCluster
from tests.unit.gateway.test_process import KUBECONFIG, a_process

HOSTILE = (
    "plain \x1b]0;pwned\x07\x1b]52;c;cHduZWQ=\x07 \x1b[2J\x1b[31mred \x9b31m a\x08b\rc \u202eabc "
    "<script>alert(1)</script> [bank](https://evil.example/\x1b[1m) &#27;[5m &#x202e; &#x9b; [bold]x[/bold] "
)
FORBIDDEN = ("\x1b]0;", "\x1b]52;", "\x1b]8;", "\x1b[2J", "\x9b", "\x08", "\u202e", "pwned\x07")


async def test_a_conversation_on_a_terminal(tmp_path: Path):
    """Streaming, several lines, /retry, /system, /reset, /save, an unknown command and /exit."""
    replica = Replica(["First\n\n", "last **part**."])
    replica.gate.clear()
    async with (
        serving_replica(replica),
        a_process(a_cluster_with_a_key(REPLICA_POD), tmp_path) as gateway,
        in_a_terminal(CHAT, "chat", "--temperature", "0.5", env=environment(tmp_path, gateway.api)) as terminal,
    ):
        await terminal.shows("tiny>")
        terminal.type("line one" + ESC_ENTER + "line two\r")
        await terminal.shows("First")
        assert "part" not in terminal.text
        replica.gate.set()
        await terminal.shows("last part.")
        await terminal.prompts("tiny>")
        user, assistant = {"role": "user", "content": "line one\nline two"}, {"role": "assistant"}
        assert replica.bodies[-1]["messages"] == [user]
        assert replica.bodies[-1]["temperature"] == 0.5

        terminal.enter("/system Be brief.")
        await terminal.shows("the system prompt is set")
        terminal.enter("second")
        await terminal.until(lambda: len(replica.bodies) == 2, "second request")
        system = {"role": "system", "content": "Be brief."}
        first_answer = assistant | {"content": "First\n\nlast **part**."}
        second = {"role": "user", "content": "second"}
        assert replica.bodies[-1]["messages"] == [system, user, first_answer, second]
        await terminal.shows("last part.", times=2)
        terminal.enter("/retry")
        await terminal.until(lambda: len(replica.bodies) == 3, "third request")
        assert replica.bodies[-1]["messages"] == replica.bodies[-2]["messages"]
        await terminal.shows("last part.", times=3)

        terminal.enter(f"/save {tmp_path / 'talk.json'}")
        await terminal.shows("saved as")
        saved = json.loads((tmp_path / "talk.json").read_text())
        assert saved["messages"] == [system, user, first_answer, second, first_answer]
        terminal.enter("/rest")
        await terminal.shows("/rest is no command")
        terminal.enter("/model other")
        await terminal.shows("unknown model other")
        await terminal.shows("models: tiny")
        terminal.enter("/reset")
        await terminal.shows("a new conversation begins")
        terminal.enter("third")
        await terminal.until(lambda: len(replica.bodies) == 4, "fourth request")
        assert replica.bodies[-1]["messages"] == [system, {"role": "user", "content": "third"}]
        await terminal.shows("last part.", times=4)
        terminal.enter("exit")
        assert await terminal.ends() == 0
    assert (tmp_path / "chatscale" / "history").stat().st_mode & 0o777 == 0o600
    assert KEY not in terminal.raw


async def test_ctrl_c_stops_the_answer_and_ctrl_d_ends_the_program(tmp_path: Path):
    replica = Replica(["Beginning\n\n", "never"])
    replica.gate.clear()
    async with (
        serving_replica(replica),
        a_process(a_cluster_with_a_key(REPLICA_POD), tmp_path) as gateway,
        in_a_terminal(CHAT, "chat", "tiny", env=environment(tmp_path, gateway.api)) as terminal,
    ):
        await terminal.shows("tiny>")
        terminal.enter("one")
        await terminal.shows("Beginning")
        terminal.type(CTRL_C)
        await terminal.shows("stopped")
        await terminal.until(lambda: replica.left == 1, "client that left")
        replica.gate.set()
        terminal.enter("two")
        await terminal.shows("never")
        assert [each["content"] for each in replica.bodies[-1]["messages"]] == ["one", "Beginning\n\n", "two"]
        terminal.type(CTRL_C)
        await terminal.shows("stopped", times=2)
        await terminal.prompts("tiny>")
        terminal.type(CTRL_D)
        assert await terminal.ends() == 0


async def test_talks_through_a_port_forward_of_the_kubeconfig(tmp_path: Path):
    """Ctrl-C reaches the replica while the program waits for the next message."""
    replica = Replica(["Beginning\n\n", "the end"])
    replica.gate.clear()
    async with (
        serving_replica(replica),
        a_process(a_cluster_with_a_key(REPLICA_POD), tmp_path) as gateway,
    ):
        cluster = FakeCluster(int(gateway.api.rpartition(":")[2]))
        async with serving(cluster.handle) as api_server:
            kubeconfig = tmp_path / "kubeconfig"
            url = str(api_server.make_url("")).rstrip("/")
            kubeconfig.write_text(KUBECONFIG.format(url=url, token="of-the-user"))
            env = environment(tmp_path, "", KUBECONFIG=str(kubeconfig))
            async with in_a_terminal(CHAT, "chat", env=env) as terminal:
                await terminal.shows("tiny>")
                terminal.enter("one")
                await terminal.shows("Beginning")
                terminal.type(CTRL_C)
                await terminal.shows("stopped")
                await terminal.until(lambda: replica.left == 1, "client that left")
                replica.gate.set()
                terminal.enter("two")
                await terminal.shows("the end")
                terminal.enter("/exit")
                assert await terminal.ends() == 0
            assert await in_a_pipe("hi", "chat", "tiny", env=env) == (0, "Beginning\n\nthe end\n", "")
    assert cluster.tokens == {"Bearer of-the-user"}
    assert cluster.open == 0


async def test_hostile_text_reaches_no_terminal_and_no_pipe(tmp_path: Path):
    replica = Replica([HOSTILE, "\x1b", "]0;pwned\x07 the end"])
    async with (
        serving_replica(replica),
        a_process(a_cluster_with_a_key(REPLICA_POD), tmp_path) as gateway,
    ):
        env = environment(tmp_path, gateway.api)
        async with in_a_terminal(CHAT, "chat", env=env) as terminal:
            await terminal.shows("tiny>")
            began = len(terminal.output)
            terminal.enter("hello")
            await terminal.shows("the end")
            await terminal.prompts("tiny>")
            shown = terminal.output[began:].decode()
        _, out, _ = await in_a_pipe("hello", "chat", "tiny", env=env)
    assert not [each for each in FORBIDDEN if each in shown]
    assert not [each for each in (*FORBIDDEN, "\x1b") if each in out]
    for expected in ("<script>alert(1)</script>", "https://evil.example/", "[bold]x[/bold]", "\u241b]0;pwned\u2407"):
        assert expected in "".join(terminal.text.split("\n"))
    assert out.startswith("plain \u241b]0;pwned\u2407")


async def test_an_answer_of_100_000_characters_is_shown_complete(tmp_path: Path):
    words = [f"word{number:05} " for number in range(10_000)]
    parts = ["".join(words[at : at + 100]) + ("\n\n" if at % 300 else "") for at in range(0, len(words), 100)]
    assert sum(map(len, parts)) >= 100_000
    async with (
        serving_replica(Replica(parts)),
        a_process(a_cluster_with_a_key(REPLICA_POD), tmp_path) as gateway,
    ):
        env = environment(tmp_path, gateway.api)
        async with in_a_terminal(CHAT, "chat", env=env) as terminal:
            await terminal.shows("tiny>")
            terminal.enter("hello")
            await terminal.shows("word09999")
            await terminal.prompts("tiny>")
            written = len(terminal.output)
        code, out, err = await in_a_pipe("hello", "chat", env=env)
    assert [word for word in words if word.strip() not in terminal.text] == []
    assert written < 3_000_000, "each part of the answer is drawn a few times at most"
    assert (code, out, err) == (0, "".join(parts).rstrip("\n") + "\n", "")


async def test_a_pipe_gets_only_the_answer(tmp_path: Path):
    replica = Replica()
    async with (
        serving_replica(replica),
        a_process(a_cluster_with_a_key(REPLICA_POD), tmp_path) as gateway,
    ):
        env = environment(tmp_path, gateway.api)
        for arguments in (["chat"], ["chat", "tiny"], ["chat", "--num-beams", "4", "demo/tiny"]):
            assert await in_a_pipe("hi\nthere\n", *arguments, env=env) == (0, "Hello from **the** replica.\n", "")
        two = ["chat", "--num-return-sequences", "2", "--top-k", "5", "--no-do-sample"]
        by_pipe = {name: value for name, value in env.items() if name != "CHATSCALE_API_KEY"}
        found = await in_a_pipe(f"{KEY}\nhi\nthere\n", "chat", "tiny", "--key-file", "-", env=by_pipe)
        assert found == (0, "Hello from **the** replica.\n", ""), "the key is the first line, the message is the rest"
        replica.bodies.pop()
        answers = "--- answer 1 ---\nHello from **the** replica.\n--- answer 2 ---\nHello from **the** replica.\n"
        assert await in_a_pipe("hi", *two, env=env) == (0, answers, "")
    sent = [{name: value for name, value in body.items() if name != "stream_options"} for body in replica.bodies]
    messages = [{"role": "user", "content": "hi\nthere"}]
    assert sent[0] == sent[1] == {"model": sent[0]["model"], "messages": messages, "stream": True}
    assert sent[2] == {"model": sent[0]["model"], "messages": messages, "num_beams": 4, "stream": False}
    assert (sent[3]["n"], sent[3]["top_k"], sent[3]["do_sample"]) == (2, 5, False)


async def test_problems_are_one_line_and_an_exit_code(tmp_path: Path):
    """No key, a wrong key, an unknown model, a full queue, a model that stays at zero, and no gateway."""
    cluster = a_cluster_with_a_key(routing={"hold": {"maxRequests": 0}})
    async with a_process(cluster, tmp_path) as gateway:
        env = environment(tmp_path, gateway.api)
        without = {name: value for name, value in env.items() if name != "CHATSCALE_API_KEY"}
        wrong = env | {"CHATSCALE_API_KEY": "csk-wrong"}
        away = env | {"CHATSCALE_URL": "http://127.0.0.1:1"}
        runs = [
            await in_a_pipe("hi", "chat", *arguments, env=each)
            for each, *arguments in ((without,), (wrong,), (wrong, "tiny"), (env, "big"), (env,), (away,))
        ]
    assert [(code, out) for code, out, _ in runs] == [(64, ""), *[(69, "")] * 5]
    errors = [err for _, _, err in runs]
    assert all(error.startswith("chatscale: ") and error.count("\n") == 1 for error in errors), errors
    assert "set CHATSCALE_API_KEY, or use --key-file" in errors[0]
    assert "the API key is not valid" in errors[1] == errors[2]
    assert "unknown model big; the API key opens tiny" in errors[3]
    assert "http://127.0.0.1:1 cannot be reached" in errors[5]
    assert not [error for error in errors if "csk-" in error]
    assert re.search("the queue is full: .* try again in [0-9]+ s", errors[4]), errors[4]


async def test_waits_while_a_model_wakes_up_and_says_so(tmp_path: Path):
    autoscaling = {"mode": "Operator", "minReplicas": 1, "maxReplicas": 2, "scaleToZero": {"idleSeconds": 60}}
    cluster = a_cluster_with_a_key(autoscaling=autoscaling, replicas=0)
    async with (
        serving_replica(Replica()),
        a_process(cluster, tmp_path) as gateway,
        in_a_terminal(CHAT, "chat", "tiny", env=environment(tmp_path, gateway.api)) as terminal,
    ):
        await terminal.shows("tiny>")
        terminal.enter("hello")
        await terminal.shows("waiting for a replica of tiny: it wakes up")
        cluster.pods.scripts.put_nowait([{"type": "ADDED", "object": REPLICA_POD}, "end"])
        await terminal.shows("Hello from the replica.")
        terminal.enter("/exit")
        assert await terminal.ends() == 0


async def test_a_key_is_read_from_the_terminal_without_an_echo(tmp_path: Path):
    async with (
        serving_replica(Replica()),
        a_process(a_cluster_with_a_key(REPLICA_POD), tmp_path) as gateway,
    ):
        env = environment(tmp_path, gateway.api)
        del env["CHATSCALE_API_KEY"]
        async with in_a_terminal(CHAT, "chat", env=env) as terminal:
            await terminal.shows("API key of the gateway (hidden):")
            terminal.enter(KEY)
            await terminal.shows("tiny>")
            terminal.enter("/exit")
            assert await terminal.ends() == 0
    assert KEY not in terminal.raw


async def test_talks_to_the_simulated_server_and_ctrl_c_frees_its_slot(tmp_path: Path):
    async with (
        serving_simulated(tmp_path),
        a_process(a_cluster_with_a_key(REPLICA_POD), tmp_path) as gateway,
        aiohttp.ClientSession() as client,
    ):
        env = environment(tmp_path, gateway.api)
        arguments = ["chat", "--max-tokens", "2000", "--top-p", "0.9", "--top-k", "40", "--do-sample"]
        async with in_a_terminal(CHAT, *arguments, env=env) as terminal:
            await terminal.shows("tiny>")
            terminal.enter("where is my parcel?")
            await terminal.shows("Thank you")
            assert await running(client) == 1
            terminal.type(CTRL_C)
            await terminal.shows("stopped")
            while await running(client):
                pass
            terminal.enter("exit")
            assert await terminal.ends() == 0
        code, out, err = await in_a_pipe("hi", "chat", "--max-length", "60", "--num-return-sequences", "2", env=env)
        refused = await in_a_pipe("hi", "chat", "--num-beams", "2", env=env)
    assert (code, out.count("--- answer")) == (0, 2), err
    assert refused[0] == 69, "the simulated server has no beam search"
    assert "num_beams" in refused[2]
