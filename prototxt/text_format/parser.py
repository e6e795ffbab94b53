"""Protobuf's text format, read with the line of everything.

``google.protobuf.text_format`` forgets where a field stood and either refuses a file for one unknown field or drops the
field without a word. Reading by our own hand gives a line to every layer and a report of every unknown field. What it
accepts is otherwise what protobuf's parser accepts, and so what Caffe accepts.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from prototxt.errors import PrototxtError, nearest_names
from prototxt.limits import get_limits, raise_hint
from prototxt.schema import message_class
from prototxt.text_format.fields import MESSAGE, SchemaField, SchemaMessage, read_value, schema_message
from prototxt.text_format.files import check_text
from prototxt.text_format.tokens import END, IDENTIFIER, NUMBER, STRING, Source, Tokens, short

__all__ = ["Parsed", "Unknown", "parse"]

_CLOSER = {"{": "}", "<": ">", "[": "]"}
_AHEAD = 8  # more tokens than are looked at between two calls of `_Reader._ahead`
_LONGEST = 100  # characters of a name that could be a misspelt one
_SUGGESTIONS = 200  # the nearest known name takes a millisecond to find, and a foreign file has thousands of fields


@dataclass(frozen=True)
class Unknown:
    """A field of a file that the schema lacks, or that has no meaning where it stands.

    Attributes:
        path: from the layer: ``pooling_param.foo``; for a field outside of layers, from the net.
        line: from 1; None where the net did not come from a text.
        column: from 1; None likewise.
        text: the value as written, blanks collapsed.
        layer: index of the layer in the file, None outside of layers.
        nearest: the known field with the most similar name, "" if none is.
    """

    path: str
    line: int | None
    column: int | None
    text: str
    layer: int | None = None
    nearest: str = ""


@dataclass(frozen=True)
class Parsed:
    """A message and where its parts stood.

    Attributes:
        message: the message, as written (no upgrade).
        source: the file.
        lines: the line of each layer, in the order of the file.
        unknown: every field that the schema lacks.
        first: the line on which each top-level field first stands.
    """

    message: Any
    source: str
    lines: tuple[int, ...]
    unknown: tuple[Unknown, ...]
    first: Mapping[str, int]


def parse(text: str, source: str = "<string>", message_name: str = "NetParameter") -> Parsed:
    """Read a prototxt.

    Args:
        text: in protobuf's text format.
        source: the file's name, for errors.
        message_name: the message that the text describes: ``NetParameter``, ``SolverParameter``.

    Raises:
        PrototxtError: protobuf's own parser would refuse the text (other than for unknown fields), or it is no
            prototxt at all.

    >>> parsed = parse('name: "n"\\nlayer { top: "x" colour: RED }')
    >>> parsed.lines, parsed.unknown[0].path, parsed.unknown[0].line
    ((2,), 'colour', 2)
    """
    check_text(text, source)
    message = message_class(message_name)()
    reader = _Reader(Tokens(Source(text, source)))
    reader.fields(message, schema_message(message.DESCRIPTOR), "", -1)
    return Parsed(message, source, tuple(reader.lines), tuple(reader.unknown), MappingProxyType(reader.first))


class _Reader:
    """One pass over the tokens; ``at`` is the index of the next one."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.kinds, self.texts = tokens.kinds, tokens.texts
        self.at = 0
        self.path: list[str] = []
        self.layer: int | None = None
        self.lines: list[int] = []
        self.unknown: list[Unknown] = []
        self.first: dict[str, int] = {}
        self.nearest: dict[tuple[int, str], str] = {}
        self.limits = get_limits()

    def _ahead(self) -> None:
        """Have the next few tokens at hand."""
        if self.at + _AHEAD >= len(self.kinds):
            self.tokens.reach(self.at + _AHEAD)

    def fields(self, message: Any, schema: SchemaMessage, closer: str, opened: int) -> None:
        """Read fields into a message up to its closing brace; `opened` is the token of the opening one."""
        kinds, texts = self.kinds, self.texts
        seen: dict[str, int] = {}
        while True:
            self._ahead()
            start = self.at
            name = texts[start]
            if kinds[start] != IDENTIFIER:
                # The end of the file is the token "", which closes the net itself.
                if name == closer:
                    break
                raise self._no_field(start, opened)
            field = schema.fields.get(name)
            self.at = start + 1
            if not self.path and self.layer is None and name not in self.first:
                self.first[name] = self.tokens.source.line(self.tokens.offsets[start])
            if field is None:
                self._skip_unknown(start, schema)
            else:
                if name in seen and not field.repeated:
                    self._twice(start, seen[name], field)
                seen[name] = start
                if field.kind == MESSAGE:
                    self._message_field(message, field, start)
                else:
                    self._scalar_field(message, field, start)
            if texts[self.at] in (",", ";"):
                self.at += 1
        self.at += 1
        missing = [name for name in schema.required if name not in seen]
        if missing:
            raise self.tokens.error(
                max(opened, 0), f"{self.path[-1]} lacks {' and '.join(missing)}", "Caffe requires it"
            )

    def _no_field(self, index: int, opened: int) -> PrototxtError:
        """Refuse what stands where a field should begin: a wrong brace, the end of the file, or nonsense."""
        text = self.texts[index]
        if self.kinds[index] == END:
            return self._never_closed(opened)
        if text in ("}", ">"):
            if opened < 0:
                return self.tokens.error(index, f"this {text} closes nothing", "remove it, or find the one too many")
            return self._wrong_closer(index, opened)
        return self.tokens.error(index, f"expected the name of a field, found {self.tokens.shown(index)}", "remove it")

    def _wrong_closer(self, index: int, opened: int) -> PrototxtError:
        line = self.tokens.source.line(self.tokens.offsets[opened])
        brace = self.texts[opened]
        message = f"found {self.texts[index]}, but the {brace} of line {line} is open"
        return self.tokens.error(index, message, f"close it with {_CLOSER[brace]}")

    def _never_closed(self, opened: int) -> PrototxtError:
        of = (
            f" of {self.path[-1]}"
            if self.path
            else f" of layer number {self.layer + 1}"
            if self.layer is not None
            else ""
        )
        text = self.texts[opened]
        return self.tokens.error(opened, f"this {text}{of} is never closed", f"add the {_CLOSER[text]} that is missing")

    def _twice(self, index: int, before: int, field: SchemaField) -> None:
        line = self.tokens.source.line(self.tokens.offsets[before])
        raise self.tokens.error(
            index,
            f"{field.name} stands here for the second time (first in line {line})",
            "it takes one value: remove one",
        )

    def _message_field(self, message: Any, field: SchemaField, start: int) -> None:
        self._colon()
        if field.repeated and self.texts[self.at] == "[":
            self._list(lambda: self._one_message(message, field, start))
        else:
            self._one_message(message, field, start)

    def _one_message(self, message: Any, field: SchemaField, start: int) -> None:
        opened = self.at
        text = self.texts[opened]
        if text not in ("{", "<"):
            raise self.tokens.error(
                opened, f"{field.name} holds fields, found {self.tokens.shown(opened)}", f"write {field.name} {{ ... }}"
            )
        self.at = opened + 1
        child = getattr(message, field.name)
        if field.repeated:
            child = child.add()
        else:
            child.SetInParent()
        assert field.schema is not None
        if field.is_layer and self.layer is None and not self.path:
            self.layer = len(self.lines)
            if self.layer >= self.limits.layers:
                raise self._beyond(start, "layers")
            self.lines.append(self.tokens.source.line(self.tokens.offsets[start]))
            self.fields(child, field.schema, _CLOSER[text], opened)
            self.layer = None
        else:
            self.path.append(field.name)
            self.fields(child, field.schema, _CLOSER[text], opened)
            self.path.pop()

    def _scalar_field(self, message: Any, field: SchemaField, start: int) -> None:
        if not self._colon():
            raise self.tokens.error(self.at, f"{field.name} needs a colon before its value", f"write {field.name}: ...")
        if not field.repeated:
            setattr(message, field.name, self._value(field))
            return
        values = getattr(message, field.name)
        if self.texts[self.at] == "[":
            self._list(lambda: values.append(self._value(field)))
        else:
            values.append(self._value(field))

    def _colon(self) -> bool:
        if self.texts[self.at] == ":":
            self.at += 1
            return True
        return False

    def _list(self, read: Any) -> None:
        """Read ``[a, b]``, one element per call of `read`."""
        opened = self.at
        self.at += 1
        if self.texts[self.at] == "]":
            self.at += 1
            return
        while True:
            self._ahead()
            if self.kinds[self.at] == END:
                raise self._never_closed(opened)
            read()
            text = self.texts[self.at]
            if text not in (",", "]"):
                if self.kinds[self.at] == END:
                    raise self._never_closed(opened)
                message = f"expected , or ] in a list, found {self.tokens.shown(self.at)}"
                raise self.tokens.error(self.at, message, "separate the values with commas, and end the list with ]")
            self.at += 1
            if text == "]":
                return

    def _value(self, field: SchemaField) -> Any:
        value, self.at = read_value(self.tokens, field, self.at)
        return value

    def _skip_unknown(self, start: int, schema: SchemaMessage) -> None:
        """Pass over the value of a field that the schema lacks, and report it."""
        name = self.texts[start]
        colon = self._colon()
        first = self.at
        kind, text = self.kinds[first], self.texts[first]
        if text in ("{", "<") or (colon and text == "["):
            self._skip_brackets()
        elif colon and kind in (IDENTIFIER, NUMBER, STRING):
            self.at += 1
            while kind == STRING and self.kinds[self.at] == STRING:
                self.at += 1
                self._ahead()
        else:
            near = self._nearest(name, schema)
            remedy = f"did you mean {near}?" if near else "remove it"
            raise self.tokens.error(start, f"{short(name)} is no known field and has no value", remedy)
        source, offset = self.tokens.source, self.tokens.offsets[start]
        value = " ".join(source.text[self.tokens.offsets[first] : self.tokens.end(self.at - 1)].split())
        path = ".".join([*self.path, name])
        if len(self.unknown) >= self.limits.unknown_fields:
            raise self._beyond(start, "unknown_fields")
        place = (source.line(offset), source.column(offset))
        self.unknown.append(Unknown(path, *place, value, self.layer, self._nearest(name, schema)))

    def _beyond(self, index: int, limit: str) -> PrototxtError:
        """A limit was passed at a token."""
        most = getattr(self.limits, limit)
        what = limit.replace("_", " ")
        return self.tokens.error(index, f"there are more than {most:,} {what}", raise_hint(limit))

    def _nearest(self, name: str, schema: SchemaMessage) -> str:
        """The known field with the most similar name; "" if there is none, or too many have been asked for."""
        key = (id(schema), name)
        if key not in self.nearest and len(self.nearest) < _SUGGESTIONS and len(name) <= _LONGEST:
            self.nearest[key] = next(iter(nearest_names(name, schema.fields)), "")
        return self.nearest.get(key, "")

    def _skip_brackets(self) -> None:
        """Pass over a bracketed value, whatever it holds."""
        open_ones = array("q")  # no recursion: nesting of any depth costs 8 bytes a bracket
        while True:
            self._ahead()
            kind, text = self.kinds[self.at], self.texts[self.at]
            if kind == END:
                raise self._never_closed(open_ones[-1])
            if text in _CLOSER:
                open_ones.append(self.at)
            elif text in ("}", ">", "]"):
                opened = open_ones.pop()
                if text != _CLOSER[self.texts[opened]]:
                    raise self._wrong_closer(self.at, opened)
            self.at += 1
            if not open_ones:
                return
