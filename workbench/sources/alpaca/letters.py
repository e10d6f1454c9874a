"""Alpaca's letters as the numbers that the workbench uses: sale conditions by tape, exchanges, tapes.

Sale conditions come as the letters that the two consolidated tapes print, and the same letter means different things on them:
tapes A and B follow the CTA's table (CTS specification), tape C the UTP's (UTDF specification); both are listed at
docs.alpaca.markets (stock trade conditions). Each letter is named here by the id of the same condition in `conditions.py`, whose
rules then decide. Option conditions are OPRA's letters; their ids count from 201 = 'A' and 227 = 'a'.

Exchange ids are those of Polygon/Massive `/v3/reference/exchanges`, so that a recording reads the same whoever told it.

Floor 2: the standard library.
"""

from __future__ import annotations

from functools import lru_cache

TAPES = {"A": 1, "B": 2, "C": 3}

# letter -> condition id, alike on both tapes; '@' and ' ' are the regular sale and say nothing
_BOTH = {
    "C": 7, "E": 3, "F": 14, "H": 21, "I": 37, "K": 23, "L": 30, "M": 15, "N": 20, "O": 25, "P": 22, "Q": 16, "R": 29, "T": 12,
    "U": 13, "V": 52, "X": 9, "Z": 32, "4": 10, "5": 28, "6": 8, "7": 53, "9": 38,
}  # fmt: skip
_CTA = _BOTH | {"B": 2}  # average price
_UTP = _BOTH | {"A": 1, "B": 4, "D": 11, "G": 5, "S": 34, "W": 2, "Y": 36, "1": 27, "2": 31, "3": 33, "8": 59}
_BY_TAPE = {"A": _CTA, "B": _CTA, "C": _UTP}
_SILENT = frozenset("@ ")

OPTION_CANCELS = frozenset("ACEG")  # OPRA: not a print but news that an earlier one is cancelled

# letters of the exchanges 1, 2, 3, …
_IN_ORDER = ("A", "B", "C", "D", "E", "I", "J", "K", "M", "N", "P", "TQ", "S", "L", "V", "W", "X", "Y", "Z", "H", "U")
_EXCHANGES = {letter: i for i, letters in enumerate(_IN_ORDER, 1) for letter in letters}


@lru_cache(maxsize=4096)
def trade_conditions(tape: str, letters: tuple[str, ...]) -> tuple[int, ...]:
    """Return the condition ids of a stock print, in order, regular sales left out; KeyError with the letter or tape nobody knows."""
    table = _BY_TAPE[tape]
    return tuple(table[letter] for letter in letters if letter not in _SILENT)


@lru_cache(maxsize=256)
def option_conditions(letter: str) -> tuple[int, ...]:
    """Return the condition id of an option print; () for a regular one, KeyError for what is no letter."""
    if letter in ("", " "):
        return ()
    if len(letter) != 1 or not (letter.isascii() and letter.isalpha()):
        raise KeyError(letter)
    return (201 + ord(letter) - ord("A") if letter.isupper() else 227 + ord(letter) - ord("a"),)


@lru_cache(maxsize=256)
def exchange_id(letter: str) -> int:
    """Return the id of a stock exchange; 0 when it has none."""
    return _EXCHANGES.get(letter, 0)


@lru_cache(maxsize=256)
def option_exchange_id(letter: str) -> int:
    """Return the id of an options exchange: 300 and its place in the alphabet; 0 when it has none."""
    return 300 + ord(letter) - ord("A") if len(letter) == 1 and "A" <= letter <= "Z" else 0
