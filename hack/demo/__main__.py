"""The whole product in one run: install, answer with a real model, wake from zero, scale through a burst, report.

All requests go through the gateway, with an API key. The real model answers one question. The burst goes to replicas
of the Simulated engine, because real replicas on one machine share its cores: a second one adds nothing. Exits 0 only
if every step happened. Leaves the cluster and both models running, and says what to try next.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp

from chatscale.api.v1alpha1.price import PriceSpec
from chatscale.names import API_VERSION, KIND
from hack import keys, kube
from hack.demo.next_steps import NextSteps
from hack.demo.steps import Recorder, StepFailedError, step
from hack.demo.story import shortcomings, summary
from hack.helm import NAMESPACE as OPERATOR_NAMESPACE
from hack.helm import RELEASE, HelmError
from hack.install import install
from hack.load import QUESTIONS, Fate, LoadReport, ask, run_load
from hack.paths import cache_dir

NAMESPACE = "chatscale-demo"
REAL_MODEL = "assistant"
SHOP = "shop"
KEY = "website"
MAX_REPLICAS = 6
PRICE = {"currency": "EUR", "gpuHour": "2.50", "inputPerMillionTokens": "0.20", "outputPerMillionTokens": "0.60"}
"""An example."""
SLOTS = 8
"""Far fewer than an A100 takes, so that this machine can send the load of a sale."""
QUESTION = "My order arrived damaged. What should I do?"
ANSWER_TOKENS = 80
BURST_TOKENS = 100
BURST_S = 60.0
CALM_S = 5.0
CALM_RATE_PER_S = 0.1
MEASURED_ROUNDS = 4
FIRST_CUSTOMERS = 20
"""They ask while the model has no replica."""
IDLE_S = 90
"""Without a request for so long, the last replica goes."""
SALE = 2.0
"""Requests for each one that a replica answers."""

FAILURES = (StepFailedError, TimeoutError, HelmError, keys.KeyCommandError, aiohttp.ClientError, *kube.FAILURES)
"""What a step may meet; anything else is a bug and shows its traceback."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Address and API key."""

    base_url: str
    key: str = field(repr=False)


def real_model(image: str) -> kube.Manifest:
    """One replica of the model that the image contains, on the CPU; mode Fixed."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": REAL_MODEL, "namespace": NAMESPACE},
        "spec": {
            "model": {"uri": "file:///models/SmolLM2-135M-Instruct"},
            "device": "CPU",
            "server": {"image": image, "maxModelLen": 1024},
            "resources": {
                "requests": {"cpu": "250m", "memory": "1Gi"},
                "limits": {"cpu": "2", "memory": "3Gi"},
            },
        },
    }


def shop() -> kube.Manifest:
    """The default policy with scale to zero, and a scale down fast enough to watch. Starts with no replica."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": SHOP, "namespace": NAMESPACE},
        "spec": {
            "model": {"uri": "hf://meta-llama/Llama-3.1-8B-Instruct"},
            "device": "CPU",
            "server": {
                "engine": "Simulated",
                "simulated": {"profile": "8b-a100", "startupSeconds": 5},
                "maxConcurrency": SLOTS,
            },
            "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}},
            "replicas": 0,
            "autoscaling": {
                "maxReplicas": MAX_REPLICAS,
                "scaleToZero": {"idleSeconds": IDLE_S},
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 30}},
            },
            "drain": {"timeoutSeconds": 60, "preStopDelaySeconds": 5},
            "price": PRICE,
        },
    }


def server_image() -> str:
    """The image with the real model, as `make images` pushed it."""
    path = cache_dir() / "images.json"
    if not path.exists():
        raise StepFailedError(f"{path} is missing: run `make images`")
    return str(json.loads(path.read_text())["server-smollm2"])


def look(model: str = SHOP) -> kube.Manifest | None:
    """The ChatModel in its present state."""
    return kube.get("chatmodel", model, NAMESPACE)


def waiting_for(model: str) -> Callable[[], str]:
    """The message of the condition Ready, for a line of progress."""

    def message() -> str:
        try:
            return f"waiting: {kube.condition(look(model), 'Ready').get('message', 'no status yet')}"
        except kube.FAILURES as error:
            return f"waiting: {error}"

    return message


def wait_for_replicas(model: str, count: int, within_s: float) -> None:
    """Until exactly this many replicas are desired, exist and are ready."""

    def probe() -> bool:
        status = (look(model) or {}).get("status", {})
        return all(status.get(name) == count for name in ("desiredReplicas", "replicas", "readyReplicas"))

    kube.wait_for(f"{count} replica(s), and no more", probe, within_s)


async def ask_once(gateway: Gateway) -> float:
    """Print an answer as it streams in; returns the time to its first token in seconds."""
    pieces: list[str] = []

    def show(text: str) -> None:
        pieces.append(text)
        print(text, end="", flush=True)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        print(f"   customer:  {QUESTION}\n   assistant: ", end="")
        fate, detail, ttft_s = await ask(
            session, gateway.base_url, REAL_MODEL, QUESTION, ANSWER_TOKENS, show, key=gateway.key
        )
    print()
    if fate is not Fate.ANSWERED or ttft_s is None:
        raise StepFailedError(f"the question was not answered: {fate} ({detail})")
    if len(pieces) == 1:
        raise StepFailedError("the answer came in one piece and did not stream")
    return ttft_s


async def first_customers(gateway: Gateway) -> float:
    """Ask many questions at once while no replica runs; returns the longest wait for a first token in seconds."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        questions = [QUESTIONS[number % len(QUESTIONS)] for number in range(FIRST_CUSTOMERS)]
        base_url, key = gateway.base_url, gateway.key
        answers = await asyncio.gather(
            *(ask(session, base_url, SHOP, each, ANSWER_TOKENS, key=key) for each in questions)
        )
    if lost := [f"{fate} ({detail})" for fate, detail, _ in answers if fate is not Fate.ANSWERED]:
        raise StepFailedError(f"{len(lost)} of {FIRST_CUSTOMERS} questions were not answered: {lost[0]}")
    return max(ttft_s for _, _, ttft_s in answers if ttft_s is not None)


async def answers_per_s(gateway: Gateway) -> float:
    """Requests per second that one replica serves with all of its slots in use."""

    async def customer(session: aiohttp.ClientSession, questions: Sequence[str]) -> None:
        for question in questions:
            fate, detail, _ = await ask(session, gateway.base_url, SHOP, question, BURST_TOKENS, key=gateway.key)
            if fate is not Fate.ANSWERED:
                raise StepFailedError(f"a question was not answered: {fate} ({detail})")

    began = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        await asyncio.gather(*(customer(session, QUESTIONS[:MEASURED_ROUNDS]) for _ in range(SLOTS)))
    return SLOTS * MEASURED_ROUNDS / (time.monotonic() - began)


def burst(gateway: Gateway, sale_per_s: float) -> LoadReport:
    """Calm, then a sale; returns once every customer has an answer."""
    return asyncio.run(
        run_load(
            gateway.base_url,
            SHOP,
            rate_per_s=lambda at_s: sale_per_s if at_s > CALM_S else CALM_RATE_PER_S,
            duration_s=BURST_S,
            max_tokens=BURST_TOKENS,
            key=lambda: gateway.key,
        )
    )


def create_key(base_url: str) -> Gateway:
    """An API key for the ChatModels of the demo. StepFailedError if the gateway answers without it."""
    title = f"chatscale key create {KEY} -n {NAMESPACE} --models {REAL_MODEL} {SHOP}"
    with step(title, lambda: "waiting for the gateways to read it") as done:
        key = keys.create_key(KEY, NAMESPACE, "--models", REAL_MODEL, SHOP)
        keys.wait_until_accepted(base_url, key)
        if (status := keys.status_of(base_url, None)) != HTTPStatus.UNAUTHORIZED:
            raise StepFailedError(f"a request without a key must get 401, found {status}")
        done(f"the key is {keys.SHOWN}; a request without it gets 401")
    return Gateway(base_url, key)


def serve(image: str) -> tuple[Gateway, float]:
    """Install, apply both ChatModels. Returns the gateway and the requests/s that one replica serves."""
    with step("Install the chart with Helm", lambda: "helm waits for operator and gateway") as done:
        install()
        base_url = kube.expose_gateway(OPERATOR_NAMESPACE, RELEASE)
        done(f"operator and gateway are running in namespace {OPERATOR_NAMESPACE}")

    with step("Remove an earlier demo", lambda: "its pods finish the requests that they admitted") as done:
        kube.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=150s", timeout_s=160)
        kube.kubectl("create", "namespace", NAMESPACE)
        done(f"namespace {NAMESPACE} is empty")

    gateway = create_key(base_url)

    with step("kubectl apply a ChatModel with SmolLM2-135M-Instruct on the CPU", waiting_for(REAL_MODEL)) as done:
        kube.apply(real_model(image))
        wait_for_replicas(REAL_MODEL, 1, within_s=300)
        done("one replica is ready")

    with step("A customer asks, the answer streams") as done:
        ttft_s = asyncio.run(ask_once(gateway))
        done(f"first token after {ttft_s:.2f} s")

    with step("kubectl apply a ChatModel with the default policy and simulated 8B replicas", waiting_for(SHOP)) as done:
        kube.apply(shop())
        wait_for_replicas(SHOP, 0, within_s=60)
        done("no replica runs, and none costs anything")

    with step(f"{FIRST_CUSTOMERS} customers ask a model that has no replica", waiting_for(SHOP)) as done:
        longest_s = asyncio.run(first_customers(gateway))
        done(f"all {FIRST_CUSTOMERS} answered; the longest wait for a first token was {longest_s:.1f} s")
        print(kube.kubectl("get", "chatmodel", "-n", NAMESPACE).rstrip())

    with step("Measure what one replica serves", lambda: "waiting for one replica") as done:
        wait_for_replicas(SHOP, 1, within_s=240)
        known_per_s = asyncio.run(answers_per_s(gateway))
        done(f"{known_per_s:.1f} requests/s of {BURST_TOKENS} tokens")
    wait_for_replicas(SHOP, 1, within_s=240)
    return gateway, known_per_s


def live_through_a_sale(gateway: Gateway, known_per_s: float) -> None:
    """Up and down again, then the summary. StepFailedError if anything of it did not happen."""
    recorder = Recorder(look, MAX_REPLICAS)
    with recorder.running():
        sale_per_s = SALE * known_per_s
        sale = f"A sale begins: {CALM_RATE_PER_S} -> {sale_per_s:.1f} requests/s for {BURST_S:.0f} s"
        with step(sale) as done:
            report = burst(gateway, sale_per_s)
            peak = max((moment.ready for moment in recorder.moments), default=0)
            done(f"{report}; {peak} replicas at the peak")
        with step("The sale is over, the count falls") as done:
            wait_for_replicas(SHOP, 1, within_s=300)
            done("one replica again")

    with step(f"Nobody asks for {IDLE_S} s, the last replica goes", waiting_for(SHOP)) as done:
        wait_for_replicas(SHOP, 0, within_s=300)
        done("no replica; the next request starts one")

    history = ((look() or {}).get("status", {})).get("autoscaling", {}).get("history", [])
    print("\n== Summary")
    print(
        "\n".join(
            f"   {line}"
            for line in summary(recorder.moments, report, history, PriceSpec.model_validate(PRICE).as_price())
        )
    )
    if missing := shortcomings(recorder.moments, report):
        raise StepFailedError("; ".join(missing))


def next_steps(base_url: str) -> NextSteps:
    """What to try on the cluster that is left running."""
    return NextSteps(base_url, NAMESPACE, REAL_MODEL, SHOP, cache_dir() / "bin", OPERATOR_NAMESPACE)


def run() -> None:
    """Every step in order; one of FAILURES ends the demo."""
    gateway, known_per_s = serve(server_image())
    live_through_a_sale(gateway, known_per_s)
    print(next_steps(gateway.base_url).text())


def tell_state() -> None:
    """What the cluster says after a failure, as far as it says anything."""
    for question in (("get", "chatmodel,pods", "-n", NAMESPACE, "-o", "wide"), ("get", "events", "-n", NAMESPACE)):
        try:
            print(kube.kubectl(*question), file=sys.stderr)
        except kube.FAILURES as also:
            print(f"kubectl {question[0]}: {also}", file=sys.stderr)


def main(demo: Callable[[], None] = run, after_failure: Callable[[], None] = tell_state) -> int:
    """0 if every step happened."""
    began_s = time.monotonic()
    try:
        demo()
    except FAILURES as error:
        print(f"\nThe demo failed: {str(error) or type(error).__name__}", file=sys.stderr)
        after_failure()
        return 1
    print(f"\nDemo finished in {time.monotonic() - began_s:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
