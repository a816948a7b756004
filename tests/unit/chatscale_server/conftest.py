"""Before any test module imports torch: see TransformersEngine.load."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
