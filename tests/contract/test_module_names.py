"""The folder `operator` must never become a package: it would replace the standard library's module of that name."""

import subprocess
import sys
import sysconfig
from pathlib import Path

from hack.paths import ROOT


def test_operator_is_the_standard_librarys():
    where = subprocess.run(
        [sys.executable, "-c", "import operator; print(operator.__file__)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    assert Path(where.strip()).parent == Path(sysconfig.get_path("stdlib"))
    assert not (ROOT / "operator/__init__.py").exists()
    assert not (ROOT / "inference_server/__init__.py").exists()
