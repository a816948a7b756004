"""The version of Chatscale, for programs whose images do not contain the operator."""

from typing import Final

VERSION: Final = "0.1.0"
"""Equal to `chatscale.__version__`, from which the packages are built."""
