"""Characters and words of a text: what Chinese, English and French have in common for the code above. Pure."""

import re
import unicodedata
from typing import Final

MAX_READ: Final = 1000
"""Characters of a message that are read for its language, intent and tone."""
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_MARKS: Final = {ord(mark): f"{mark} " for mark in "，；：！？"}
_NOISE: Final = re.compile(
    r"https?://[!-~]+|www\.[!-~]+|[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+\.[A-Za-z0-9.-]+|#?[^\W\u3400-\u9fff]*\d[^\W\u3400-\u9fff]*",
    re.IGNORECASE,
)

_HYPHENATED_CODE: Final = re.compile(r"\b[A-Z]{2,}-[A-Z]\b")


def normalise(text: str) -> str:
    """NFKC (full-width digits and letters become ASCII), straight apostrophes and quotes, single spaces within lines."""
    # A space keeps 100，200 two numbers: NFKC makes an ASCII comma of it.
    spaced = text.translate(_MARKS)
    plain = unicodedata.normalize("NFKC", spaced).replace("’", "'").replace("‘", "'").replace("`", "'")
    return re.sub(r"[^\S\n]+", " ", plain).strip()


def fold(text: str) -> str:
    """`normalise`, in lower case and without accents: `Réglé` becomes `regle`."""
    decomposed = unicodedata.normalize("NFD", normalise(text).casefold())
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c)))


def is_han(character: str) -> bool:
    """Whether the character is a Chinese ideograph."""
    return "\u3400" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff" or character >= "\U00020000"


def is_other_script(character: str) -> bool:
    """Whether the character is a letter that neither Chinese nor a Latin alphabet has, such as kana or Cyrillic."""
    if not character.isalpha() or is_han(character):
        return False
    return not unicodedata.name(character, "").startswith(
        ("LATIN", "MODIFIER", "FULLWIDTH LATIN", "FEMININE", "MASCULINE")
    )


def without_codes(text: str) -> str:
    """The text without links, e-mail addresses, numbers and codes such as USB-C: they have no language."""
    return _HYPHENATED_CODE.sub(" ", _NOISE.sub(" ", normalise(text)))


def latin_words(text: str) -> tuple[str, ...]:
    """The words in Latin letters, in lower case; `j'ai` is one word."""
    return tuple(word.casefold() for word in _WORD.findall(re.sub(r"[\u3400-\u9fff]+", " ", text)))


def shortened(text: str, limit: int = MAX_READ) -> str:
    """A long text without its middle: what is wanted stands at the beginning or at the end.

    limit: characters.  A message of 4,000 characters would keep patterns and encoders busy for seconds, and all other
    customers with them.
    """
    if len(text) <= limit:
        return text
    last = limit // 3
    return f"{text[: limit - last]}\n{text[-last:]}"


def han_count(text: str) -> int:
    """How many Chinese ideographs the text has."""
    return sum(map(is_han, text))
