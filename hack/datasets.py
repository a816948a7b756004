"""The data sets of tests and benchmarks: `python -m hack.datasets` downloads all of them into the cache."""

from chatscale_assistant.evaluation.datasets import PACKAGES, dataset

__all__ = ["dataset"]


def main() -> None:
    """Download what is missing, and print the folders."""
    for name in PACKAGES:
        print(dataset(name), flush=True)


if __name__ == "__main__":
    main()
