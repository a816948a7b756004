"""`python3 -m hack.cluster COMMAND`, run from the repository's root."""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from hack.cluster.bring_up import BringUp
from hack.cluster.errors import BringUpError, StepFailedError, StoppedError
from hack.cluster.images import IMAGES, ensure_images
from hack.cluster.places import Places, places_of_this_machine
from hack.cluster.progress import Progress
from hack.cluster.status import describe, describe_usage
from hack.cluster.tear_down import purge, take_down
from hack.cluster.turn import own_turn


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line; no option is ever needed."""
    parser = argparse.ArgumentParser(prog="python3 -m hack.cluster", description="The cluster for tests and demo.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="bring up the cluster, or what is missing of it")
    images = commands.add_parser("images", help="build our images and push them to the cluster's registry")
    names = ", ".join(image.name for image in IMAGES if not image.is_base)
    images.add_argument("names", nargs="*", metavar="NAME", help=f"of {names}; default all")
    commands.add_parser("status", help="show what is up")
    commands.add_parser("down", help="delete the cluster; keep images and caches")
    commands.add_parser("purge", help="delete the cluster, Docker's data and all caches")
    return parser.parse_args(argv)


def run_command(arguments: argparse.Namespace, places: Places, progress: Progress) -> None:
    """Run one command."""
    match arguments.command:
        case "up":
            with _our_turn(places, progress):
                BringUp(places, progress).run()
            progress.say("times\n" + progress.summary())
            progress.say(describe_usage(places))
        case "images":
            with _our_turn(places, progress):
                ensure_images(places, progress, arguments.names)
            progress.say("times\n" + progress.summary())
        case "status":
            with progress.step("status") as commands:
                lines = list(describe(places, commands))
            progress.say("\n".join(["status", *lines]))
        case "down":
            with _our_turn(places, progress):
                take_down(places, progress)
        case _:
            with _our_turn(places, progress):
                purge(places, progress)


@contextmanager
def _our_turn(places: Places, progress: Progress) -> Iterator[None]:
    with ExitStack() as stack:
        with progress.step("turn") as commands:
            stack.enter_context(own_turn(places, commands))
        yield


def main() -> int:
    """Return the exit code: 0, or 1 after saying what failed and where its log is."""
    arguments = parse_arguments(sys.argv[1:])
    places = places_of_this_machine()
    progress = Progress(places.logs)
    # Ended from outside, it still ends what it started, as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with progress.heartbeat():
            run_command(arguments, places, progress)
    except (StepFailedError, StoppedError):
        return 1
    except BringUpError as error:
        progress.say(f"FAILED: {error}")
        return 1
    except KeyboardInterrupt:
        progress.say("interrupted; run it again to go on from here")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
