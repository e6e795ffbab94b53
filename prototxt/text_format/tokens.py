"""The words of protobuf's text format, each with its place in the file.

The grammar is that of protobuf's own ``Tokenizer`` (``google/protobuf/io/tokenizer.cc``), which is what Caffe reads
its prototxts with.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Callable

from prototxt.errors import PrototxtError

__all__ = [
    "END",
    "IDENTIFIER",
    "NUMBER",
    "PUNCTUATION",
    "STRING",
    "Source",
    "Tokens",
    "float_value",
    "int_value",
    "short",
]

END, IDENTIFIER, NUMBER, STRING, PUNCTUATION, _COMMENT, _BAD = range(7)

# A comment is a token that is dropped, and not a repetition inside of the expression: a million of them in a row would
# be a million steps for the expression to remember. (It remembers every escape in a string, too, so they are limited.)
_TOKEN = re.compile(
    r"""\s*
    (?: ([A-Za-z_][A-Za-z0-9_]*)
      | ( -?\s* (?: 0[xX][0-9a-fA-F]+ | (?: [0-9]+ (?:\.[0-9]*)? | \.[0-9]+ ) (?:[eE][+-]?[0-9]+)? [fF]? ) (?![\w.])
        | -\s*[A-Za-z]+ (?![\w.]) )
      | ( "[^"\\\n]*(?:\\.[^"\\\n]*){0,65535}" | '[^'\\\n]*(?:\\.[^'\\\n]*){0,65535}' )
      | ([{}<>\[\]:,;])
      | (\#[^\n]*)
      | (.)
      | \Z )""",
    re.VERBOSE | re.ASCII,
)
_TEMPLATE = re.compile(
    r"\$\#.*?\#\$ | \$\{.*?\} | \{\{.*?\}\} | \{%.*?%\} | <%.*?%> | \$\(?\w+\)? | %\(\w+\)[sdf] | %[sdfg] | @\w+@",
    re.VERBOSE,
)
_TEMPLATE_REACH = 200  # characters on either side of an error in which a placeholder is looked for
_BLOCK = 8192  # tokens found at a time
_SHOWN = 60
_ESCAPES = 65_535  # in one string: as many as _TOKEN allows
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_SIMPLE_ESCAPES = {
    **dict(zip("abfnrtv", (b"\a", b"\b", b"\f", b"\n", b"\r", b"\t", b"\v"), strict=True)),
    **{character: character.encode() for character in "\\'\"?"},
}


def short(text: str) -> str:
    """A piece of the file as a message quotes it: an error is one line that people can read, whatever the file holds.

    >>> short("x" * 100)[-4:]
    'xxx…'
    """
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


class Source:
    """A text and its name: turns offsets into places and errors."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name
        self._starts, self._complete = [0], False

    def line(self, offset: int) -> int:
        """The line of an offset, from 1."""
        starts = self._starts
        # Only as far as needed: a file of 50 MB may be refused in its first line.
        while starts[-1] <= offset and not self._complete:
            newline = self.text.find("\n", starts[-1])
            self._complete = newline < 0
            if newline >= 0:
                starts.append(newline + 1)
        return bisect_right(starts, offset)

    def column(self, offset: int) -> int:
        """The column of an offset, from 1, in characters."""
        return offset - self._starts[self.line(offset) - 1] + 1

    def check_characters(self) -> None:
        """Refuse halves of characters (lone surrogates), which a text that was decoded elsewhere may hold."""
        if self.text.isascii():
            return
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            message = f"half a character (U+{ord(self.text[error.start]):04X})"
            raise self.error(error.start, message, "decode the file as UTF-8") from None

    def error(self, offset: int, message: str, remedy: str = "") -> PrototxtError:
        """The error at an offset; a placeholder of a template there explains itself instead."""
        line = self.line(offset)
        column = self.column(offset)
        where = f"{self.name}:{line}:{column}" if self.name else f"line {line}, column {column}"
        start = max(offset - _TEMPLATE_REACH, self._starts[line - 1])
        for match in _TEMPLATE.finditer(self.text[start : offset + _TEMPLATE_REACH].split("\n", 1)[0]):
            if match.start() <= offset - start <= match.end():
                message = f"found the placeholder {short(match[0])}: this is a template"
                remedy = "fill it in first, with the script that comes with it"
                break
        return PrototxtError(message, where=where, remedy=remedy)


class Tokens:
    """The tokens of a text, in three parallel lists: ``kinds``, ``texts`` (as written) and ``offsets``.

    They are found block by block: `reach` an index before looking at it. The last token is of kind ``END``.

    Raises:
        PrototxtError: the text holds half a character.
    """

    def __init__(self, source: Source) -> None:
        source.check_characters()
        self.source = source
        # Arrays: a megabyte of braces is a million tokens, and an integer of a list takes 36 bytes.
        self.kinds = array("b")
        self.texts: list[str] = []
        self.offsets = array("q")
        # A byte order mark is not whitespace to the regular expression.
        self._matches = _TOKEN.finditer(source.text, 1 if source.text.startswith("\ufeff") else 0)

    def reach(self, index: int) -> None:
        """Find the tokens up to an index, and some more, or up to the end.

        Raises:
            PrototxtError: a character, number or string that no token begins with.
        """
        if index < len(self.kinds) or (self.kinds and self.kinds[-1] == END):
            return
        kinds: list[int] = []  # quicker to append to than arrays
        offsets: list[int] = []
        try:
            self._find(index, kinds.append, offsets.append)
        finally:
            self.kinds.extend(kinds)
            self.offsets.extend(offsets)

    def _find(self, index: int, kinds: Callable[[int], None], offsets: Callable[[int], None]) -> None:
        texts, last = self.texts.append, index + _BLOCK
        for match in self._matches:
            kind = match.lastindex
            if kind == _COMMENT:
                continue
            if kind is None:
                kinds(END)
                texts("")
                offsets(match.end())
                return
            if kind == _BAD:
                # What stands before may be an error of its own, which comes first.
                if len(self.texts) > index:
                    self._matches = _TOKEN.finditer(self.source.text, match.start(kind))
                    return
                raise self._bad(match.start(kind))
            kinds(kind)
            texts(match[kind])
            offsets(match.start(kind))
            if len(self.texts) > last:
                return

    def _bad(self, offset: int) -> PrototxtError:
        character = self.source.text[offset]
        if character in "\"'":
            problem = f"a string is not closed on its line, or has more than {_ESCAPES:,} escapes"
            if self.source.text.count("\\", offset, offset + 2 * _ESCAPES) < _ESCAPES:
                problem = "a string is not closed on its line"
            return self.source.error(offset, problem, f"add the closing {character}")
        if character in "0123456789.-":
            match = re.compile(r"[\w.+-]*").match(self.source.text, offset)
            word = match[0] if match else character
            return self.source.error(offset, f"{short(word)!r} is not a number", "separate or correct it")
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
        return f"'{short(self.texts[index])}'" if self.kinds[index] != END else "the end of the file"

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
        hexadecimal, octal, four, eight, simple = match.groups()
        if hexadecimal or octal:
            value = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
            if value < 256:
                return bytes([value])
        elif four or eight:
            value = int(four or eight, 16)
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
