"""What torch.save wrote of a state dict, read without unpickling it.

A pickle is a program. torch.load(weights_only=True) calls nothing of it either, but a file of a few
hundred bytes can keep it busy for minutes or have it allocate what a storage declares. Here the few
instructions that a state dict is made of are followed one by one, over plain values; any other is
refused by name.
Both of torch's formats are read: the zip archive, and the one before it (torch 1.5 and earlier).
"""

import io
import math
import pickletools
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch
from torch import Tensor

from sleep_lab.errors import InputError, one_line

STORAGES = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
}
"""The type of the numbers behind each storage class that a pickle may name."""

DICT = "collections OrderedDict"
TENSOR = "torch._utils _rebuild_tensor_v2"
PARAMETER = "torch._utils _rebuild_parameter"
ZIP_START = b"PK\x03\x04"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LARGEST_PICKLE = 2**22


@dataclass(frozen=True)
class _Global:
    """Something that the pickle names: MODULE NAME."""

    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype
    numel: int


@dataclass(frozen=True)
class _View:
    """A tensor, before its numbers are read."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def read_state(data: bytes, largest: int) -> dict[str, Tensor]:
    """The tensors of a state dict by their names, on the CPU.

    Args:
        data: the file that torch.save wrote.
        largest: what its parts may take, inflated, in bytes.

    Raises:
        InputError: it is damaged, larger, or holds anything but tensors by name.
    """
    try:
        if data.startswith(ZIP_START):
            views, numbers = _from_zip(data, largest)
        else:
            views, numbers = _from_legacy(io.BytesIO(data))
        return {name: _tensor(name, view, numbers) for name, view in views.items()}
    except InputError:
        raise
    except (
        *(ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, OverflowError),
        *(RuntimeError, NotImplementedError, MemoryError, zipfile.BadZipFile, zlib.error),
    ) as error:
        raise InputError(f"damaged, or no state dict of torch ({one_line(error)[:200]})") from error


def require_plain_zip(archive: zipfile.ZipFile, largest: int) -> None:
    """Raise InputError unless the entries are stored as they are, once each, as torch does."""
    entries = archive.infolist()
    if len({entry.filename for entry in entries}) < len(entries):
        raise InputError("its zip archive holds an entry twice")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise InputError("its zip archive is compressed, which torch never does")
    if (size := sum(entry.file_size for entry in entries)) > largest:
        raise InputError(f"its zip archive holds {size} bytes, more than {largest}")


def _from_zip(data: bytes, largest: int) -> tuple[dict[str, _View], Mapping[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        require_plain_zip(archive, largest)
        entries = archive.namelist()
        (pickle,) = (name for name in entries if name.endswith("/data.pkl"))
        root = pickle.removesuffix("data.pkl")
        byteorder = root + "byteorder"
        if byteorder in entries and archive.read(byteorder) != b"little":
            raise InputError("its numbers are big-endian; save it on a little-endian machine")
        views = _views(_followed(io.BytesIO(archive.read(pickle))))
        keys = {view.storage.key for view in views.values()}
        return views, {key: archive.read(f"{root}data/{key}") for key in keys}


def _from_legacy(file: BinaryIO) -> tuple[dict[str, _View], Mapping[str, bytes]]:
    magic, _, system, state, keys = (_followed(file) for _ in range(5))
    if magic != LEGACY_MAGIC or system["little_endian"] is not True:
        raise InputError("no state dict of torch, or one of a big-endian machine")
    views = _views(state)
    item_sizes = {view.storage.key: view.storage.dtype.itemsize for view in views.values()}
    numbers = {}
    for key in keys:
        if type(key) is not str:
            raise InputError("refers to something that is no storage")
        numel = int.from_bytes(file.read(8), "little", signed=True)
        size = numel * item_sizes[key]
        numbers[key] = file.read(max(size, 0))
        if len(numbers[key]) != size:
            raise InputError(f"declares {size} bytes of a storage, which are not there")
    return views, numbers


def _views(state: Any) -> dict[str, _View]:
    if not isinstance(state, dict):
        raise InputError("holds no state dict")
    for name, value in state.items():
        if not isinstance(value, _View):
            raise InputError(f"entry {name[:100]!r} is no tensor")
    return state


def _tensor(name: str, view: _View, numbers: Mapping[str, bytes]) -> Tensor:
    storage = view.storage
    content = numbers[storage.key]
    reach = view.offset + sum(
        (size - 1) * stride for size, stride in zip(view.size, view.stride, strict=True)
    )
    sizes = (view.offset, storage.numel, *view.size, *view.stride)
    if (
        not all(type(size) is int and size >= 0 for size in sizes)
        or 0 in view.size
        or len(content) != storage.numel * storage.dtype.itemsize
        or reach >= storage.numel
        # a step of 0 would make a large tensor of few numbers
        or math.prod(view.size) > storage.numel
    ):
        raise InputError(f"tensor {name[:100]!r} does not fit what is stored of it")
    flat = torch.frombuffer(bytearray(content), dtype=storage.dtype)
    return flat.as_strided(view.size, view.stride, view.offset).clone()


def _followed(file: BinaryIO) -> Any:
    """The value that the next pickle in the file describes."""
    start = file.tell()
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        mark = marks.pop()
        values = stack[mark:]
        del stack[mark:]
        return values

    for opcode, value, position in pickletools.genops(file):
        argument: Any = value
        if (position or 0) - start > LARGEST_PICKLE:
            raise InputError("describes more than a state dict does")
        match opcode.name:
            case "PROTO":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                marks.append(len(stack))
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode.name])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINUNICODE":
                stack.append(argument)
            case "GLOBAL":
                stack.append(_Global(argument))
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                length = int(opcode.name[-1])
                stack[-length:] = [tuple(stack[-length:])]
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "APPEND":
                last = stack.pop()
                _list(stack[-1]).append(last)
            case "APPENDS":
                values = since_mark()
                _list(stack[-1]).extend(values)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _put(stack[-1], [key, value])
            case "SETITEMS":
                values = since_mark()
                _put(stack[-1], values)
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(_made(function, arguments))
            case "BUILD":
                stack.pop()  # versions of the modules
            case other:
                raise InputError(f"pickle instruction {other}, which no state dict has")
    raise InputError("damaged: its pickle has no end")


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise InputError("appends to what is no list")
    return value


def _put(mapping: Any, items: list[Any]) -> None:
    if type(mapping) is not dict:
        raise InputError("sets items of what is no dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) is not str:
            raise InputError("has a key that is no text")
        mapping[key] = value


def _storage(reference: Any) -> _Storage:
    kind, storage_class, key, _, numel, *view = reference
    if kind != "storage" or any(part is not None for part in view) or type(key) is not str:
        raise InputError("refers to something that is no storage")
    if not isinstance(storage_class, _Global) or storage_class.name not in STORAGES:
        raise InputError(f"has a storage of unknown type {_name(storage_class)}")
    return _Storage(key, STORAGES[storage_class.name], numel)


def _made(function: Any, arguments: Any) -> Any:
    name = _name(function)
    if name == DICT and arguments in ((), ([],)):
        return {}
    if name == TENSOR:
        storage, offset, size, stride, *_ = arguments
        if isinstance(storage, _Storage):
            return _View(storage, offset, tuple(size), tuple(stride))
    if name == PARAMETER and isinstance(arguments[0], _View):
        return arguments[0]
    raise InputError(f"would call {name}; a state dict has no need to, so it is not loaded")


def _name(value: Any) -> str:
    return value.name[:100] if isinstance(value, _Global) else "something without a name"
