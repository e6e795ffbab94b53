"""The words of protobuf's text format, each with its place in the file.

The grammar is that of protobuf's own ``Tokenizer`` (``google/protobuf/io/tokenizer.cc``), which is what Caffe reads
its prototxts with.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property

from prototxt.errors import PrototxtError

__all__ = ["END", "IDENTIFIER", "NUMBER", "PUNCTUATION", "STRING", "Source", "Tokens", "float_value", "int_value"]

END, IDENTIFIER, NUMBER, STRING, PUNCTUATION, _BAD = range(6)

_TOKEN = re.compile(
    r"""(?: \s+ | \#[^\n]* )*
    (?: ([A-Za-z_][A-Za-z0-9_]*)
      | ( -?\s* (?: 0[xX][0-9a-fA-F]+ | (?: [0-9]+ (?:\.[0-9]*)? | \.[0-9]+ ) (?:[eE][+-]?[0-9]+)? [fF]? ) (?![\w.])
        | -\s*[A-Za-z]+ (?![\w.]) )
      | ( "[^"\\\n]*(?:\\.[^"\\\n]*)*" | '[^'\\\n]*(?:\\.[^'\\\n]*)*' )
      | ([{}<>\[\]:,;])
      | (.)
      | \Z )""",
    re.VERBOSE | re.ASCII,
)
_TEMPLATE = re.compile(
    r"\$\#.*?\#\$ | \$\{.*?\} | \{\{.*?\}\} | \{%.*?%\} | <%.*?%> | \$\(?\w+\)? | %\(\w+\)[sdf] | %[sdfg] | @\w+@",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_SIMPLE_ESCAPES = {
    **{"a": b"\a", "b": b"\b", "f": b"\f", "n": b"\n", "r": b"\r", "t": b"\t", "v": b"\v"},
    **{"\\": b"\\", "'": b"'", '"': b'"', "?": b"?"},
}


class Source:
    """A text and its name: turns offsets into places and errors."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    def line(self, offset: int) -> int:
        """The line of an offset, from 1."""
        return bisect_right(self._line_starts, offset)

    def column(self, offset: int) -> int:
        """The column of an offset, from 1, in characters."""
        return offset - self._line_starts[self.line(offset) - 1] + 1

    def error(self, offset: int, message: str, remedy: str = "") -> PrototxtError:
        """The error at an offset; a placeholder of a template there explains itself instead."""
        line = self.line(offset)
        column = self.column(offset)
        where = f"{self.name}:{line}:{column}" if self.name else f"line {line}, column {column}"
        for match in _TEMPLATE.finditer(self.text[self._line_starts[line - 1] :].split("\n", 1)[0]):
            if match.start() <= column - 1 <= match.end():
                message = f"found the placeholder {match[0]}: this is a template"
                remedy = "fill it in first, with the script that comes with it"
                break
        return PrototxtError(message, where=where, remedy=remedy)


class Tokens:
    """All tokens of a text, in three parallel lists: ``kinds``, ``texts`` (as written) and ``offsets``.

    The last token is of kind ``END``.

    Raises:
        PrototxtError: a character, number or string that no token begins with.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.kinds: list[int] = []
        self.texts: list[str] = []
        self.offsets: list[int] = []
        kinds, texts, offsets = self.kinds.append, self.texts.append, self.offsets.append
        # A byte order mark is no blank to the regular expression.
        start = 1 if source.text.startswith("\ufeff") else 0
        for match in _TOKEN.finditer(source.text, start):
            kind = match.lastindex
            if kind is None:
                kinds(END)
                texts("")
                offsets(match.end())
                return
            if kind == _BAD:
                raise self._bad(match.start(kind))
            kinds(kind)
            texts(match[kind])
            offsets(match.start(kind))

    def _bad(self, offset: int) -> PrototxtError:
        character = self.source.text[offset]
        if character in "\"'":
            return self.source.error(offset, "a string is not closed on its line", f"add the closing {character}")
        if character in "0123456789.-":
            found = re.match(r"[\w.+-]*", self.source.text[offset:])
            word = found[0] if found else character
            return self.source.error(offset, f"{word!r} is not a number", "separate or correct it")
        shown = repr(character) if character.isascii() else f"{character!r} (U+{ord(character):04X})"
        return self.source.error(offset, f"unexpected character {shown}", "remove it, or put text into quotes")

    def end(self, index: int) -> int:
        """The offset just after a token."""
        return self.offsets[index] + len(self.texts[index])

    def error(self, index: int, message: str, remedy: str = "") -> PrototxtError:
        """The error at a token."""
        return self.source.error(self.offsets[index], message, remedy)

    def shown(self, index: int) -> str:
        """A token as an error quotes it."""
        return f"'{self.texts[index]}'" if self.kinds[index] != END else "the end of the file"

    def string(self, index: int) -> bytes:
        """The bytes that a string token stands for.

        Raises:
            PrototxtError: an escape sequence that protobuf does not know.
        """
        body = self.texts[index][1:-1]
        pieces: list[bytes] = []
        last = 0
        for match in _ESCAPE.finditer(body):
            pieces.append(body[last : match.start()].encode())
            last = match.end()
            pieces.append(self._escape(match, self.offsets[index] + 1 + match.start()))
        pieces.append(body[last:].encode())
        return b"".join(pieces)

    def _escape(self, match: re.Match[str], offset: int) -> bytes:
        hexadecimal, octal, short, long, simple = match.groups()
        if hexadecimal or octal:
            value = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
            if value < 256:
                return bytes([value])
        elif short or long:
            value = int(short or long, 16)
            if value < 0x110000 and not 0xD800 <= value < 0xE000:
                return chr(value).encode()
        elif simple in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[simple]
        raise self.source.error(
            offset, f"{match[0]} is not an escape sequence", r"write a backslash as \\, a folder with /"
        )


def int_value(text: str) -> int | None:
    """The value of a whole number (decimal, ``0x`` hexadecimal, ``0`` octal), or None for any other number.

    >>> int_value("0x1F"), int_value("-010"), int_value("1.0")
    (31, -8, None)
    """
    digits = text.lstrip("-").lstrip()
    try:
        if digits[:2] in ("0x", "0X"):
            value = int(digits, 16)
        else:
            value = int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)
    except ValueError:
        return None
    return -value if text[0] == "-" else value


def float_value(text: str) -> float | None:
    """The value of a decimal number, ``inf`` or ``nan`` (a trailing ``f`` is allowed), or None for anything else.

    Hexadecimal and octal numbers are None, because versions of protobuf disagree about their value.

    >>> float_value("1.5f"), float_value("-Infinity"), float_value("010")
    (1.5, -inf, None)
    """
    sign, word = (-1.0, text[1:].lstrip()) if text[0] == "-" else (1.0, text)
    lower = word.lower()
    if len(word) > 1 and word[0] == "0" and (word.isdigit() or lower[1] == "x"):
        return None
    if lower not in ("inf", "infinity"):
        lower = lower.removesuffix("f")
    try:
        return sign * float(lower)
    except ValueError:
        return None
