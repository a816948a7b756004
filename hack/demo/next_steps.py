"""What to try on the cluster that a demo leaves running. A test runs these commands as they are printed."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack import kube

_INDENT: Final = " " * 6
"""Of a command."""


@dataclass(frozen=True, slots=True)
class NextSteps:
    """The text of the end of a demo."""

    base_url: str
    """Of the gateway, on this machine."""
    namespace: str
    real_model: str
    waking_model: str
    """It has no replica until a request comes."""
    tools: Path
    """Folder that is put on PATH where kubectl comes from there."""
    gateway_namespace: str
    chatscale: str = ".venv/bin/chatscale"

    def text(self) -> str:
        """Commands begin with six spaces; a backslash at the end of a line continues them."""
        found = shutil.which("kubectl")
        path = f"      export PATH={self.tools}:$PATH\n" if found and Path(found).parent == self.tools else ""
        kubectl = f"kubectl --context {kube.CONTEXT} -n {self.namespace}"
        messages = [{"role": "user", "content": "Hello"}]
        body = json.dumps({"model": self.waking_model, "max_tokens": 60, "stream": True, "messages": messages})
        return f"""
== Done. The cluster is still running.

Chat in the browser:
1. Create an API key, and show it:
      KEY=$({self.chatscale} key create me --live --context {kube.CONTEXT} -n {self.namespace}); echo "$KEY"
2. Open {self.base_url}/ and enter the key.
   Choose a model: {self.real_model} is a real one, {self.waking_model} wakes up from zero.
   {self.base_url}/live shows what the models do.
3. If your browser is on another machine, forward a port of that machine, and open http://127.0.0.1:8080/ there:
      ssh -N -L 8080:{self.base_url.removeprefix("http://")} THIS-MACHINE
   On a cluster without this demo's node port, kubectl forwards the port:
{path}      kubectl --context {kube.CONTEXT} -n {self.gateway_namespace} port-forward service/chatscale-gateway 8080:80

Chat in the terminal:
      CHATSCALE_API_KEY=$KEY {self.chatscale} chat {self.real_model} --url {self.base_url}

Use the API and the cluster:
      curl -N {self.base_url}/v1/chat/completions -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\
        -d '{body}'
      {kubectl} get chatmodel
      {kubectl} describe chatmodel {self.waking_model}
      {kubectl} get events --field-selector involvedObject.kind=ChatModel
      make clean-cluster    # when you are done"""


def commands_in(text: str) -> list[str]:
    """The commands that a text prints, in order."""
    joined = text.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.startswith(_INDENT)]


def addresses_in(text: str) -> list[str]:
    """The addresses that a user opens in a browser, in order. They are outside of the commands."""
    prose = " ".join(line for line in text.splitlines() if not line.startswith(_INDENT))
    return re.findall(r"http://\S+", prose)
