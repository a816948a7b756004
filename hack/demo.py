"""The whole product in one run: install, serve a real model, answer a customer, live through a burst, report.

Exits 0 only if every step happened. Leaves the cluster and the model running, and says what to try next.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from chatscale.names import API_VERSION, KIND
from hack import kube
from hack.install import install
from hack.load import Fate, LoadReport, ask, run_load
from hack.paths import cache_dir

NAMESPACE = "chatscale-demo"
MODEL = "assistant"
MAX_REPLICAS = 3
SAY_EVERY_S = 10.0
QUESTION = "My order arrived damaged. What should I do?"
ANSWER_TOKENS = 80
BURST_TOKENS = 32
BURST_S = 75.0
CALM_S = 5.0
CALM_RATE_PER_S = 0.1
BURST_RATE_PER_S = 3.0
"""Well above what one replica on two shared cores answers, and thirty times the calm rate: a sale."""


class StepFailedError(Exception):
    """A step of the demo did not happen; the message says which and what was seen."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at the ChatModel."""

    at_s: float
    desired: int
    ready: int
    queue: int


@dataclass(slots=True)
class Recorder:
    """Looks at the ChatModel every two seconds, prints changes, and keeps them for the summary."""

    began_s: float = field(default_factory=time.monotonic)
    moments: list[Moment] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until `stop`; a failed look is left out."""
        while not self._stop.wait(2.0):
            try:
                status = (kube.get("chatmodel", MODEL, NAMESPACE) or {}).get("status", {})
            except kube.KubectlError:
                continue
            moment = Moment(
                time.monotonic() - self.began_s,
                status.get("desiredReplicas", 0),
                status.get("readyReplicas", 0),
                status.get("queueDepth", 0),
            )
            changed = not self.moments or (moment.desired, moment.ready) != (
                self.moments[-1].desired,
                self.moments[-1].ready,
            )
            self.moments.append(moment)
            if changed or len(self.moments) % 5 == 0:
                bar = "#" * moment.ready + "." * max(0, moment.desired - moment.ready)
                print(f"   {moment.at_s:5.0f} s  replicas [{bar:<{MAX_REPLICAS}}]  waiting {moment.queue}", flush=True)

    def stop(self) -> None:
        """End the thread at its next look."""
        self._stop.set()


def manifest(image: str) -> kube.Manifest:
    """The ChatModel of `manifests/samples/cpu-smollm2.yaml`, with windows short enough to watch."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": MODEL, "namespace": NAMESPACE},
        "spec": {
            "model": {"uri": "file:///models/SmolLM2-135M-Instruct"},
            "device": "CPU",
            "server": {"image": image, "maxConcurrency": 4, "maxQueue": 64, "maxModelLen": 1024},
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


def step(title: str) -> Callable[[str], None]:
    """Print the title; the result prints what came of it with the seconds it took."""
    began_s = time.monotonic()
    print(f"\n== {title}", flush=True)

    def done(result: str) -> None:
        print(f"   {result} ({time.monotonic() - began_s:.0f} s)", flush=True)

    return done


def server_image() -> str:
    """The image with the real model, as `make images` pushed it."""
    path = cache_dir() / "images.json"
    if not path.exists():
        raise StepFailedError(f"{path} is missing: run `make images`")
    return str(json.loads(path.read_text())["server-smollm2"])


def wait_ready(replicas: int, within_s: float) -> None:
    """Until exactly this many replicas answer, printing what the pods say meanwhile."""
    last_said_s = time.monotonic()

    def probe() -> bool:
        nonlocal last_said_s
        found = kube.get("chatmodel", MODEL, NAMESPACE) or {}
        if time.monotonic() - last_said_s > SAY_EVERY_S:
            last_said_s = time.monotonic()
            print(f"   waiting: {kube.condition(found, 'Ready').get('message', 'no status yet')}", flush=True)
        return bool(found.get("status", {}).get("readyReplicas", 0) == replicas)

    kube.wait_for(f"{replicas} ready replica(s)", probe, within_s)


async def ask_once(base_url: str) -> tuple[str, float]:
    """Print an answer as it streams in; returns the text and the time to its first token in seconds."""
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
    return "".join(pieces), ttft_s


def burst(base_url: str) -> LoadReport:
    """Calm, then a sale; returns once every customer has an answer."""
    return asyncio.run(
        run_load(
            base_url,
            MODEL,
            rate_per_s=lambda at_s: BURST_RATE_PER_S if at_s > CALM_S else CALM_RATE_PER_S,
            duration_s=BURST_S,
            max_tokens=BURST_TOKENS,
        )
    )


def summarise(recorder: Recorder, report: LoadReport) -> None:
    """What happened, for a person."""
    moments = recorder.moments
    print("\n== Summary")
    print("   replicas over time (ready), one column per 4 s:")
    for level in range(MAX_REPLICAS, 0, -1):
        print(f"   {level} |" + "".join("#" if moment.ready >= level else " " for moment in moments[::2]))
    print("     +" + "-" * len(moments[::2]))
    print(f"   queue depth: at most {max(moment.queue for moment in moments)} requests waiting")
    print(f"   requests: {report}")
    half, tail = report.percentile_ttft_s(50), report.percentile_ttft_s(95)
    if half is not None and tail is not None:
        print(f"   time to first token: median {half:.1f} s, p95 {tail:.1f} s")
    print("   decisions, newest first:")
    status = (kube.get("chatmodel", MODEL, NAMESPACE) or {}).get("status", {})
    for record in status.get("autoscaling", {}).get("history", []):
        print(f"     {record['time']}  {record['from']} -> {record['to']}  {record['reason']}")


def run() -> None:
    """Every step in order; StepFailedError or TimeoutError ends the demo."""
    image = server_image()

    done = step("Install the chart with Helm")
    install()
    done("the operator is running in namespace chatscale-system")

    done = step("kubectl apply a ChatModel with SmolLM2-135M-Instruct on the CPU")
    kube.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=150s", timeout_s=160)
    kube.kubectl("create", "namespace", NAMESPACE)
    kube.apply(manifest(image))
    wait_ready(1, within_s=300)
    done("one replica is ready")
    print(kube.kubectl("get", "chatmodel", "-n", NAMESPACE).rstrip())

    done = step("A customer asks, the answer streams")
    base_url = kube.expose(MODEL, NAMESPACE)
    _answer, ttft_s = asyncio.run(ask_once(base_url))
    done(f"first token after {ttft_s:.2f} s")

    done = step(f"A sale begins: {CALM_RATE_PER_S} -> {BURST_RATE_PER_S} questions a second for {BURST_S:.0f} s")
    recorder = Recorder()
    watcher = threading.Thread(target=recorder.run, daemon=True)
    watcher.start()
    report = burst(base_url)
    peak = max((moment.ready for moment in recorder.moments), default=0)
    done(f"{report}; {peak} replicas at the peak")

    done = step("The sale is over: replicas go")
    wait_ready(1, within_s=240)
    done("one replica again")
    recorder.stop()
    watcher.join()

    summarise(recorder, report)
    if peak <= 1:
        raise StepFailedError("the burst did not raise the replicas above 1")
    if report.count(Fate.LOST) or not report.count(Fate.ANSWERED):
        raise StepFailedError(f"requests were lost or none was answered: {report}")
    print(
        f"""
== Done. The cluster is still running. Try:
   kubectl --context {kube.CONTEXT} -n {NAMESPACE} get chatmodel
   kubectl --context {kube.CONTEXT} -n {NAMESPACE} describe chatmodel {MODEL}
   kubectl --context {kube.CONTEXT} -n {NAMESPACE} get events --field-selector involvedObject.kind=ChatModel
   curl -N {base_url}/v1/chat/completions -H 'Content-Type: application/json' \\
     -d '{{"model":"{MODEL}","stream":true,"messages":[{{"role":"user","content":"Where is my parcel?"}}]}}'
   make clean-cluster    # when you are done"""
    )


def main() -> int:
    """0 if every step happened."""
    began_s = time.monotonic()
    try:
        run()
    except (StepFailedError, TimeoutError, kube.KubectlError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        for question in (("get", "chatmodel,pods", "-n", NAMESPACE, "-o", "wide"), ("get", "events", "-n", NAMESPACE)):
            try:
                print(kube.kubectl(*question), file=sys.stderr)
            except kube.KubectlError as also:
                print(f"kubectl {question[0]}: {also}", file=sys.stderr)
        return 1
    print(f"\nDemo finished in {time.monotonic() - began_s:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
