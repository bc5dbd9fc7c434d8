"""The archives in which dreem-learning-open and RobustSleepNet keep a network.

A tar of five members, named .gz but seldom compressed. It is read in memory, member by member;
nothing is ever extracted.
"""

import gzip
import io
import json
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sleep_lab.errors import InputError, one_line
from sleep_lab.models.torch_state import read_state

LARGEST_ARCHIVE = 2**30
LARGEST_JSON = 2**24
BLOCK = tarfile.BLOCKSIZE
GZIP_START = b"\x1f\x8b"

STATE = "state.torch"
JSON_MEMBERS = {
    "net_params.json": "net",
    "normalization_parameters.json": "normalization",
    "groups.json": "groups",
    "features.json": "features",
}
"""The JSON members and what ReferenceArchive calls them."""

HARMLESS_RECORDS = (b"mtime", b"atime", b"ctime")
"""What an extended header may say: Python's tarfile notes fractions of seconds there."""


@dataclass(frozen=True)
class ReferenceArchive:
    """What an archive holds, as its JSON and its state dict say it.

    Attributes:
        net: net_params.json: the parts and their arguments.
        state: the weights, under the names of whoever wrote it.
        normalization: normalization_parameters.json: the steps, with their statistics.
        groups: groups.json: sampling rate and shape of each signal group.
        features: features.json: shape of each feature.
    """

    net: dict[str, Any]
    state: Mapping[str, Tensor]
    normalization: dict[str, Any]
    groups: dict[str, Any]
    features: dict[str, Any]


def looks_like_archive(start: bytes) -> bool:
    """Whether a file that begins with these 512 bytes is gzip or a tar."""
    if start.startswith(GZIP_START):
        return True
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "replace")
    except tarfile.HeaderError:
        return False
    return True


def read_archive(data: bytes, largest: int = LARGEST_ARCHIVE) -> ReferenceArchive:
    """The network in an archive's bytes.

    Args:
        data: the file.
        largest: what it may take, inflated, in bytes.

    Raises:
        InputError: a member is missing, unknown, twice there, too large or no plain file, or its
            content is not what it must be.
    """
    if data.startswith(GZIP_START):
        data = _inflated(data, largest)
    if len(data) > largest:
        raise InputError(f"the archive is larger than {largest} bytes")
    members = _members(data)
    for name in (STATE, *JSON_MEMBERS):
        if name not in members:
            raise InputError(f"the archive has no {name}; is it one of dreem-learning-open?")
    facts = {key: read_json(members[name], name) for name, key in JSON_MEMBERS.items()}
    try:
        state = read_state(members[STATE], largest)
    except InputError as error:
        raise InputError(f"{STATE}: {error}") from error
    return ReferenceArchive(state=state, **facts)


def read_json(content: bytes, name: str) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        InputError: it is too large, no JSON, or no object.
    """
    if len(content) > LARGEST_JSON:
        raise InputError(f"{name}: larger than {LARGEST_JSON} bytes")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: no JSON that can be read: {one_line(error)[:200]}") from error
    if not isinstance(value, dict):
        raise InputError(f"{name}: holds no JSON object")
    return value


def write_archive(archive: ReferenceArchive) -> bytes:
    """The archive's bytes, the same for the same network."""
    state = io.BytesIO()
    # its own storage for each tensor, for torch saves whole storages
    torch.save({name: value.detach().cpu().clone() for name, value in archive.state.items()}, state)
    members = {"net_params.json": json.dumps(archive.net).encode(), STATE: state.getvalue()}
    for name, key in JSON_MEMBERS.items():
        members[name] = json.dumps(getattr(archive, key)).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _inflated(data: bytes, largest: int) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            inflated = file.read(largest + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"damaged gzip: {one_line(error)[:200]}") from error
    if len(inflated) > largest:
        raise InputError(f"the archive inflates to more than {largest} bytes")
    return inflated


def _members(data: bytes) -> dict[str, bytes]:
    """The members by their names.

    Headers are walked here since tarfile also follows those that make names longer, sizes negative
    or files sparse.
    """
    members: dict[str, bytes] = {}
    offset = 0
    while offset < len(data):
        block = data[offset : offset + BLOCK]
        if not block.strip(b"\0"):
            break  # the end of a tar is a block of zeros
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
        except tarfile.HeaderError as error:
            raise InputError(f"damaged archive: {one_line(error)}") from error
        name, start = header.name[:100], offset + BLOCK
        content = data[start : start + max(header.size, 0)]
        if header.size < 0 or len(content) != header.size:
            raise InputError(f"member {name!r} declares {header.size} bytes, which are not there")
        offset = start + -(-header.size // BLOCK) * BLOCK
        if header.type == tarfile.XHDTYPE:
            _require_harmless(content)
            continue
        if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise InputError(f"member {name!r} is a link, a folder or a device, not a plain file")
        if name != STATE and name not in JSON_MEMBERS:
            raise InputError(f"member {name!r} is not one that such an archive has")
        if name in members:
            raise InputError(f"member {name!r} is there twice")
        members[name] = content
    return members


def _require_harmless(records: bytes) -> None:
    for record in records.rstrip(b"\0").splitlines():
        key = re.match(rb"\d+ ([^=]*)=", record)
        if key is None or key[1] not in HARMLESS_RECORDS:
            raise InputError(f"its extended header {record[:60]!r} may not be there")
