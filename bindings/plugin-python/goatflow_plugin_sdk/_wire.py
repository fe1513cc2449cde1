"""Protocol Buffers, as far as plugins need them.

The few messages of `_messages` are not worth a runtime that generated code pins the version of, and that would have to be
shown in every plugin's jail. Fields of other kinds and numbers than expected are skipped, as the format asks for.
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Iterator, List, Mapping, Tuple, Type, TypeVar, Union

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

M = TypeVar("M", bound="Message")

Kind = Union[str, Type["Message"]]
"""How a field is written: `text`, `bytes`, `number`, `bool`, `texts` (repeated), `map` (text to text), or a message."""


class Message:
    """A message: its fields by number, each with its name and kind. Fields that are absent have their kind's empty value."""

    FIELDS: ClassVar[Mapping[int, Tuple[str, Kind]]] = {}

    def __init__(self, **values: Any) -> None:
        for name, kind in self.FIELDS.values():
            setattr(self, name, values.pop(name, None) or empty(kind))
        if values:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(values)}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name, _ in self.FIELDS.values())})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def encode(self) -> bytes:
        """The message as it is sent."""
        return b"".join(
            piece
            for number, (name, kind) in self.FIELDS.items()
            for piece in encoded(number, kind, getattr(self, name))
        )

    @classmethod
    def decode(cls: Type[M], data: bytes) -> M:
        """The message that was received."""
        message = cls()
        for number, wire, value in fields(data):
            name, kind = cls.FIELDS.get(number, ("", ""))
            if name and wire == (VARINT if kind in ("number", "bool") else BYTES):
                message.take(name, kind, value)
        return message

    def take(self, name: str, kind: Kind, value: Any) -> None:
        """Sets or extends one field."""
        if kind == "texts":
            getattr(self, name).append(value.decode("utf-8"))
        elif kind == "map":
            entry = Entry.decode(value)
            getattr(self, name)[entry.key] = entry.value
        else:
            setattr(self, name, decoded(kind, value))

    # Set from FIELDS, which type checkers can't follow.
    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__} has no field {name}")


class Entry(Message):
    """One pair of a map."""

    FIELDS = {1: ("key", "text"), 2: ("value", "text")}


def empty(kind: Kind) -> Any:
    """What an absent field is."""
    if isinstance(kind, str):
        return {"text": "", "bytes": b"", "number": 0, "bool": False, "texts": [], "map": {}}[kind]
    return None


def encoded(number: int, kind: Kind, value: Any) -> Iterator[bytes]:
    """A field as it is sent: nothing, once, or once for each element. A message is sent even when it is empty."""
    if not value and not isinstance(value, Message):
        return
    if kind in ("number", "bool"):
        yield varint(number << 3 | VARINT) + varint(int(value))
        return
    for element in elements(kind, value):
        yield varint(number << 3 | BYTES) + varint(len(element)) + element


def elements(kind: Kind, value: Any) -> List[bytes]:
    """The pieces that a field with a length consists of."""
    if kind == "bytes":
        return [value]
    if kind == "text":
        return [value.encode("utf-8")]
    if kind == "texts":
        return [text.encode("utf-8") for text in value]
    if kind == "map":
        return [Entry(key=key, value=text).encode() for key, text in value.items()]
    return [value.encode()]


def decoded(kind: Kind, value: Any) -> Any:
    """The value of a field that occurs once."""
    if kind == "text":
        return value.decode("utf-8")
    if kind == "bool":
        return bool(value)
    return value if isinstance(kind, str) else kind.decode(value)


def varint(number: int) -> bytes:
    """A number in groups of seven bits, the lowest first."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def fields(data: bytes) -> Iterator[Tuple[int, int, Any]]:
    """The fields of a message: number, wire type, number or bytes."""
    position = 0
    while position < len(data):
        key, position = read_varint(data, position)
        wire = key & 7
        value: Any
        if wire == VARINT:
            value, position = read_varint(data, position)
        else:
            if wire == BYTES:
                length, position = read_varint(data, position)
            else:
                length = {FIXED64: 8, FIXED32: 4}.get(wire, len(data) + 1)
            value = data[position : position + length]
            position += length
            if position > len(data):
                raise ValueError("a message is cut off, or has a field of unknown type")
        yield key >> 3, wire, value


def read_varint(data: bytes, position: int) -> Tuple[int, int]:
    """A number and where it ends."""
    number = shift = 0
    while shift < 70 and position < len(data):
        number |= (data[position] & 0x7F) << shift
        position += 1
        if data[position - 1] < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, position
        shift += 7
    raise ValueError("a message is cut off, or has a number that is too long")
