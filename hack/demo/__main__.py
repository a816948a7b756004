"""The whole product in one run: install, serve a real model, answer a customer, live through a burst, report.

Exits 0 only if every step happened. Leaves the cluster and the model running, and says what to try next.
"""

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp

from chatscale.names import API_VERSION, KIND
from hack import kube
from hack.demo.steps import Recorder, StepFailedError, step
from hack.demo.story import shortcomings, summary
from hack.helm import HelmError
from hack.install import install
from hack.load import QUESTIONS, Fate, LoadReport, ask, run_load
from hack.paths import cache_dir

NAMESPACE = "chatscale-demo"
MODEL = "assistant"
MAX_REPLICAS = 3
QUESTION = "My order arrived damaged. What should I do?"
ANSWER_TOKENS = 80
BURST_TOKENS = 32
BURST_S = 75.0
CALM_S = 5.0
CALM_RATE_PER_S = 0.1
SLOTS = 4
MEASURED_ROUNDS = 4
SALE = 1.5
"""Questions for each one that a replica answers: what was a sale on one machine is an ordinary minute on the next."""

FAILURES = (StepFailedError, TimeoutError, HelmError, aiohttp.ClientError, *kube.FAILURES)
"""What a step may meet; anything else is a bug and shows its traceback."""


def manifest(image: str) -> kube.Manifest:
    """The ChatModel of `manifests/samples/cpu-smollm2.yaml`, with windows short enough to watch."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": MODEL, "namespace": NAMESPACE},
        "spec": {
            "model": {"uri": "file:///models/SmolLM2-135M-Instruct"},
            "device": "CPU",
            "server": {"image": image, "maxConcurrency": SLOTS, "maxQueue": 64, "maxModelLen": 1024},
            "resources": {
                "requests": {"cpu": "250m", "memory": "1Gi"},
                "limits": {"cpu": "2", "memory": "3Gi"},
            },
            "autoscaling": {
                "mode": "Operator",
                "minReplicas": 1,
                "maxReplicas": MAX_REPLICAS,
                "metrics": [{"type": "QueueDepth", "target": 2}],
                "source": {"type": "PodScrape", "intervalSeconds": 3},
                "windowSeconds": 15,
                "panicWindowSeconds": 6,
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 30}},
            },
            "drain": {"timeoutSeconds": 60, "preStopDelaySeconds": 5},
        },
    }


def server_image() -> str:
    """The image with the real model, as `make images` pushed it."""
    path = cache_dir() / "images.json"
    if not path.exists():
        raise StepFailedError(f"{path} is missing: run `make images`")
    return str(json.loads(path.read_text())["server-smollm2"])


def look() -> kube.Manifest | None:
    """The ChatModel as it is."""
    return kube.get("chatmodel", MODEL, NAMESPACE)


def what_it_waits_for() -> str:
    """In the ChatModel's own words, for a line of progress."""
    try:
        return f"waiting: {kube.condition(look(), 'Ready').get('message', 'no status yet')}"
    except kube.FAILURES as error:
        return f"waiting: {error}"


def wait_for_replicas(count: int, within_s: float) -> None:
    """Until exactly this many replicas are wanted, exist and answer."""

    def probe() -> bool:
        status = (look() or {}).get("status", {})
        return all(status.get(name) == count for name in ("desiredReplicas", "replicas", "readyReplicas"))

    kube.wait_for(f"{count} replica(s), and no more", probe, within_s)


async def ask_once(base_url: str) -> float:
    """Print an answer as it streams in; returns the time to its first token in seconds."""
    pieces: list[str] = []

    def show(text: str) -> None:
        pieces.append(text)
        print(text, end="", flush=True)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        print(f"   customer:  {QUESTION}\n   assistant: ", end="")
        fate, detail, ttft_s = await ask(session, base_url, MODEL, QUESTION, ANSWER_TOKENS, show)
    print()
    if fate is not Fate.ANSWERED or ttft_s is None:
        raise StepFailedError(f"the question was not answered: {fate} ({detail})")
    if len(pieces) == 1:
        raise StepFailedError("the answer came in one piece and did not stream")
    return ttft_s


async def answers_per_s(base_url: str) -> float:
    """What the one replica answers with all of its slots in use."""

    async def customer(session: aiohttp.ClientSession, questions: Sequence[str]) -> None:
        for question in questions:
            fate, detail, _ = await ask(session, base_url, MODEL, question, BURST_TOKENS)
            if fate is not Fate.ANSWERED:
                raise StepFailedError(f"a question was not answered: {fate} ({detail})")

    began = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        await asyncio.gather(*(customer(session, QUESTIONS[:MEASURED_ROUNDS]) for _ in range(SLOTS)))
    return SLOTS * MEASURED_ROUNDS / (time.monotonic() - began)


def burst(base_url: str, sale_per_s: float) -> LoadReport:
    """Calm, then a sale; returns once every customer has an answer."""
    return asyncio.run(
        run_load(
            base_url,
            MODEL,
            rate_per_s=lambda at_s: sale_per_s if at_s > CALM_S else CALM_RATE_PER_S,
            duration_s=BURST_S,
            max_tokens=BURST_TOKENS,
        )
    )


def serve(image: str) -> tuple[str, float]:
    """Install, apply the ChatModel, and return the address that answers, and how many questions a second."""
    with step("Install the chart with Helm", lambda: "helm waits for the operator") as done:
        install()
        done("the operator is running in namespace chatscale-system")

    with step("Make room: an earlier demo goes", lambda: "its pods finish what they admitted") as done:
        kube.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=150s", timeout_s=160)
        kube.kubectl("create", "namespace", NAMESPACE)
        done(f"namespace {NAMESPACE} is empty")

    with step("kubectl apply a ChatModel with SmolLM2-135M-Instruct on the CPU", what_it_waits_for) as done:
        kube.apply(manifest(image))
        wait_for_replicas(1, within_s=300)
        done("one replica is ready")
        print(kube.kubectl("get", "chatmodel", "-n", NAMESPACE).rstrip())

    with step("A customer asks, the answer streams") as done:
        base_url = kube.expose(MODEL, NAMESPACE)
        ttft_s = asyncio.run(ask_once(base_url))
        done(f"first token after {ttft_s:.2f} s")

    with step("What one replica answers on this machine") as done:
        known_per_s = asyncio.run(answers_per_s(base_url))
        done(f"{known_per_s:.1f} questions a second, {SLOTS} at a time")
    return base_url, known_per_s


def live_through_a_sale(base_url: str, known_per_s: float) -> None:
    """Up and down again, then the summary. StepFailedError if anything of it did not happen."""
    recorder = Recorder(look, MAX_REPLICAS)
    with recorder.running():
        sale_per_s = SALE * known_per_s
        sale = f"A sale begins: {CALM_RATE_PER_S} -> {sale_per_s:.1f} questions a second for {BURST_S:.0f} s"
        with step(sale) as done:
            report = burst(base_url, sale_per_s)
            peak = max((moment.ready for moment in recorder.moments), default=0)
            done(f"{report}; {peak} replicas at the peak")
        with step("The sale is over: replicas go") as done:
            wait_for_replicas(1, within_s=240)
            done("one replica again")

    history = ((look() or {}).get("status", {})).get("autoscaling", {}).get("history", [])
    print("\n== Summary")
    print("\n".join(f"   {line}" for line in summary(recorder.moments, report, history)))
    if missing := shortcomings(recorder.moments, report):
        raise StepFailedError("; ".join(missing))


def next_commands(base_url: str, tools: Path) -> str:
    """What to try on the cluster that is left running; `tools` is put on PATH where kubectl comes from there."""
    found = shutil.which("kubectl")
    path = f"   export PATH={tools}:$PATH\n" if found and Path(found).parent == tools else ""
    return f"""
== Done. The cluster is still running. Try:
{path}   kubectl --context {kube.CONTEXT} -n {NAMESPACE} get chatmodel
   kubectl --context {kube.CONTEXT} -n {NAMESPACE} describe chatmodel {MODEL}
   kubectl --context {kube.CONTEXT} -n {NAMESPACE} get events --field-selector involvedObject.kind=ChatModel
   curl -N {base_url}/v1/chat/completions -H 'Content-Type: application/json' \\
     -d '{{"model":"{MODEL}","stream":true,"messages":[{{"role":"user","content":"Where is my parcel?"}}]}}'
   make clean-cluster    # when you are done"""


def run() -> None:
    """Every step in order; one of FAILURES ends the demo."""
    base_url, known_per_s = serve(server_image())
    live_through_a_sale(base_url, known_per_s)
    print(next_commands(base_url, cache_dir() / "bin"))


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
