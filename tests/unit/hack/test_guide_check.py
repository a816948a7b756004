"""The check of the guide runs what the guide says, and nothing that the guide only shows."""

import subprocess

from hack.guide_check import GUIDE, Block, as_script, cluster_config, shell_blocks

PAGE = """\
# Title

```sh
echo one
```

```console
echo never
```

Text with `sh` in it.

```sh
false
echo unreached
```
"""


def test_runs_sh_blocks_and_no_others_with_their_lines():
    assert shell_blocks(PAGE) == [Block(4, "echo one\n"), Block(14, "false\necho unreached\n")]


def test_stops_at_the_first_command_that_fails_after_naming_its_block():
    done = subprocess.run(["bash", "-c", as_script(shell_blocks(PAGE))], capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert done.stdout.splitlines() == ["== install.md line 4", "one", "== install.md line 14"]


def test_all_blocks_of_the_install_page_are_valid_bash():
    blocks = shell_blocks(GUIDE.read_text())
    done = subprocess.run(["bash", "-n", "-c", as_script(blocks)], capture_output=True, text=True, check=False)

    assert len(blocks) > 5
    assert (done.returncode, done.stderr) == (0, "")


def test_only_a_node_image_without_a_network_plugin_gets_none_of_kinds():
    assert "disableDefaultCNI: true" in cluster_config("chatscale/node:v1.34.4-abc")
    assert "disableDefaultCNI: false" in cluster_config("kindest/node:v1.34.0")
