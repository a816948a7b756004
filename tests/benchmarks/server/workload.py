"""What is asked of every peer: the same seeded requests, and no prompt twice, so that no cache answers for a peer."""

import random
from dataclasses import dataclass, replace
from typing import Final

GOODS: Final = ("jacket", "kettle", "lamp", "bicycle", "backpack", "radio", "desk", "blanket", "tent", "camera")
TROUBLES: Final = (
    "arrived with a broken part", "is three weeks late", "came in the wrong colour", "was charged twice",
    "is missing its manual", "does not fit at all", "stopped working after a day", "was delivered to a neighbour",
)  # fmt: skip
WISHES: Final = (
    "Tell me at length how to go on", "Explain every step that I have to take", "Write down the whole policy",
    "Describe all my choices and their cost", "Write a long letter to the shop for me",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ask:
    """One chat request."""

    prompt: str
    max_tokens: int
    at_s: float = 0.0
    """Time of arrival; a closed loop ignores it."""
    system: str = ""
    """Empty leaves it to the chat template, whose own is common to all."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One column of the table."""

    name: str
    asks: tuple[Ask, ...]
    clients: int | None = None
    """Of a closed loop: a client asks anew the moment it has its answer. None sends each request at its time."""


def closed_loop(clients: int, requests: int, tokens: int, seed: str) -> Cell:
    """Prompts of nearly one length, answers of one: what a batching engine finds easiest."""
    rng = random.Random(f"closed {clients} {seed}")
    asks = tuple(Ask(_prompt(rng, sentences=4), tokens) for _ in range(requests))
    return Cell(f"closed loop, {clients}", asks, clients)


def mixed_loop(clients: int, requests: int, seed: str) -> Cell:
    """Prompts of about 40 to 300 tokens, answers of 8 to 128, in no order: what a batch of equals hides."""
    rng = random.Random(f"mixed {clients} {seed}")
    return Cell(f"closed loop, {clients}, mixed lengths", tuple(_mixed(rng) for _ in range(requests)), clients)


def poisson(rate_per_s: float, requests: int, seed: str) -> Cell:
    """The same mix, arriving at random: what a shop sees."""
    rng = random.Random(f"poisson {seed}")
    asks, at_s = [], 0.0
    for _ in range(requests):
        at_s += rng.expovariate(rate_per_s)
        asks.append(replace(_mixed(rng), at_s=at_s))
    return Cell(f"Poisson, {rate_per_s:g}/s, mixed lengths", tuple(asks))


def turned(cell: Cell) -> Cell:
    """The cell with the first complaint of each prompt moved behind its others, of which there must be some.

    As long to the token, and no more of it in the cache of a server that has answered the cell than of any other.
    """
    return replace(cell, asks=tuple(replace(ask, prompt=_turn(ask.prompt)) for ask in cell.asks))


def system_prompts(clients: int, requests: int, seed: str) -> tuple[Cell, Cell]:
    """A shop's instructions of about 400 tokens before short chats: the same in all of them, and others in each."""
    rng = random.Random(f"system {seed}")
    asks = [Ask(_prompt(rng, sentences=1), 16) for _ in range(requests)]
    shop, *others = (_instructions(rng) for _ in range(requests + 1))
    return (
        Cell("one for all", tuple(replace(ask, system=shop) for ask in asks), clients),
        Cell("one for each", tuple(replace(ask, system=own) for ask, own in zip(asks, others, strict=True)), clients),
    )


def _instructions(rng: random.Random) -> str:
    rules = [
        f"Rule {rng.randrange(10**4)}: whoever says that the {rng.choice(GOODS)} {rng.choice(TROUBLES)} is sent a "
        f"new one within {rng.randrange(2, 30)} days."
        for _ in range(15)
    ]
    return " ".join([f"You work for shop {rng.randrange(10**6)} and answer its customers.", *rules])


def _mixed(rng: random.Random) -> Ask:
    return Ask(_prompt(rng, rng.randint(1, 15)), round(8 * 16 ** rng.random()))


def _turn(prompt: str) -> str:
    first, *others, wish = prompt.split(". ")
    return ". ".join([*others, first, wish])


def _prompt(rng: random.Random, sentences: int) -> str:
    told = [
        f"My {rng.choice(GOODS)} from order {rng.randrange(10**6)} {rng.choice(TROUBLES)}." for _ in range(sentences)
    ]
    return " ".join([*told, f"{rng.choice(WISHES)}."])
