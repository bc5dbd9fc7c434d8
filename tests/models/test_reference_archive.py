"""Archives from strangers: read in memory, and refused by name if anything in them is not plain."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sleep_lab.errors import InputError
from sleep_lab.models.reference_archive import read_archive
from sleep_lab.models.torch_state import read_state
from tests.models.archives import members_of, packed, small_network, state_of, with_state

LARGEST = 2**24


@pytest.fixture(scope="module")
def members():
    return members_of(small_network())


def member(name, kind=tarfile.REGTYPE, content=b"", **facts):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info, content


def refused(data, *said):
    with pytest.raises(InputError) as error:
        read_archive(data, LARGEST)
    for text in said:
        assert text in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("pax", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_an_archive_is_read_as_any_tar_writes_it(members, pax, compress):
    # a fractional time is what Python puts into an extended header
    entries = [member(name, content=content, mtime=0.5) for name, content in members.items()]
    archive = read_archive(compress(packed({}, *entries, format=pax)), LARGEST)
    expected = state_of(members)
    assert list(archive.state) == list(expected)
    assert all(torch.equal(archive.state[name], expected[name]) for name in expected)
    assert archive.features == {"epoch_index": {"shape": [1]}, "epoch_cycle_index": {"shape": [5]}}


@pytest.mark.parametrize(
    "name", ["notes.txt", "../state.torch", "/state.torch", "./state.torch", "a/features.json"]
)
def test_a_member_of_another_name_is_refused(members, name):
    refused(packed(members | {name: b"{}"}), repr(name), "not one that such an archive has")


@pytest.mark.parametrize(
    "kind",
    [
        *(tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE),
        *(tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE),
    ],
)
def test_a_member_that_is_no_plain_file_is_refused(members, kind):
    link = member("groups.json", kind, linkname="/etc/passwd")
    others = {name: content for name, content in members.items() if name != "groups.json"}
    refused(packed(others, link, format=tarfile.GNU_FORMAT), "'groups.json' is a link, a folder")


def test_a_member_that_is_there_twice_is_refused(members):
    refused(packed(members, member("groups.json", content=b"{}")), "'groups.json' is there twice")


@pytest.mark.parametrize("name", ["state.torch", "net_params.json", "features.json"])
def test_a_member_that_is_not_there_is_named(members, name):
    others = {other: content for other, content in members.items() if other != name}
    refused(packed(others), f"the archive has no {name}")


@pytest.mark.parametrize(
    "record", ["path", "linkpath", "size", "GNU.sparse.size", "GNU.sparse.map"]
)
def test_an_extended_header_may_not_change_what_a_member_is(members, record):
    value = "100" if "size" in record else "../../evil"
    info, content = member("features.json", content=b"{}")
    info.pax_headers = {record: value}
    others = {name: c for name, c in members.items() if name != "features.json"}
    header = info.create_pax_header(info.get_info(), "utf-8")
    data = packed(others).rstrip(b"\0")
    data += bytes(-len(data) % tarfile.BLOCKSIZE) + header + content.ljust(512, b"\0") + bytes(1024)
    refused(data, "extended header", record)


@pytest.mark.parametrize("size", [-512, 2**40, 10**6])
def test_a_size_that_is_not_there_is_refused(members, size):
    info = tarfile.TarInfo("state.torch")
    info.size = size
    refused(info.tobuf(tarfile.GNU_FORMAT) + packed(members), f"declares {size} bytes")


def test_a_large_archive_is_refused_before_it_is_in_memory():
    bomb = gzip.compress(bytes(2**26), compresslevel=9)
    assert len(bomb) < 2**17
    refused(bomb, f"inflates to more than {LARGEST}")
    refused(bytes(LARGEST + 1), "larger than")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not json", "net_params.json: no JSON"),
        (b"[]", "net_params.json: holds no JSON object"),
        (b"\xff\xfe{", "net_params.json: no JSON"),
        (b"[" * 10**6, "net_params.json: no JSON"),
        (b" " * (2**24 + 1), "larger than"),
    ],
    ids=["text", "list", "bytes", "deep", "large"],
)
def test_json_that_is_none_is_refused(members, content, said):
    with pytest.raises(InputError, match=said):
        read_archive(packed(members | {"net_params.json": content}), 2**26)


def pickled(*instructions):
    """A pickle of protocol 2 of these instructions."""
    return b"\x80\x02" + b"".join(instructions) + b"."


def as_zip(pickle_bytes, records=(), compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickle_bytes)
        archive.writestr("archive/version", "3\n")
        for name, content in records:
            archive.writestr(f"archive/data/{name}", content)
    return buffer.getvalue()


def as_legacy(pickle_bytes, keys=(), numbers=b""):
    header = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    start = b"".join(pickle.dumps(value, protocol=2) for value in header)
    return start + pickle_bytes + pickle.dumps(list(keys), protocol=2) + numbers


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integer(value):
    return b"J" + struct.pack("<i", value)


def tensor(
    numel=4, offset=0, size=(4,), stride=(1,), storage="torch\nFloatStorage", key="0", end=b""
):
    """The pickle of {"w": a tensor} with these facts, true or not."""
    sizes, strides = (b"(" + b"".join(map(integer, n)) + b"t" for n in (size, stride))
    reference = b"(" + text("storage") + b"c" + storage.encode() + b"\n" + text(key)
    reference += text("cpu") + integer(numel) + end + b"tQ"
    rebuilt = (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + reference + integer(offset) + sizes + strides
    )
    return pickled(b"}", text("w"), rebuilt, b"\x89", b"}", b"tR", b"s")


def state_refused(data, *said):
    with pytest.raises(InputError) as error:
        read_state(data, LARGEST)
    for part in said:
        assert part in str(error.value)


CALLS = {
    "os": b"cposix\nsystem\n(" + text("touch called") + b"tR",
    "eval": b"cbuiltins\neval\n(" + text("open('called', 'w')") + b"tR",
    "torch": b"ctorch.serialization\nload\n(" + text("other") + b"tR",
    "of torch, with other arguments": b"ctorch._utils\n_rebuild_tensor_v2\n(" + b"NNNNtR",
}


@pytest.mark.parametrize("wrap", [as_zip, as_legacy])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_pickle_that_calls_something_is_refused_by_name(tmp_path, monkeypatch, wrap, call):
    monkeypatch.chdir(tmp_path)
    module, function = call[1:].decode("latin1").split("\n")[:2]
    state_refused(wrap(pickled(b"}", text("w"), call, b"s")), f"would call {module} {function}")
    assert not list(tmp_path.iterdir())


INSTRUCTIONS = {
    "STACK_GLOBAL": text("os") + text("system") + b"\x93",
    "INST": b"(" + text("x") + b"ios\nsystem\n",
    "OBJ": b"(cos\nsystem\n" + text("x") + b"o",
    "NEWOBJ": b"cos\nsystem\n)\x81",
    "DUP": b"}2",
    "EXT1": b"\x82\x01",
    "BYTEARRAY8": b"\x96" + struct.pack("<Q", 4) + b"abcd",
    "UNICODE": b"Vx\n",
    "FRAME": b"\x95" + struct.pack("<Q", 1),
    "PERSID": b"Pkey\n",
}


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_an_instruction_that_no_state_dict_has_is_refused_by_name(name):
    state_refused(as_zip(pickled(INSTRUCTIONS[name])), f"pickle instruction {name}")


def test_the_tensor_that_the_cases_below_vary_can_be_read():
    numbers = torch.arange(4.0)
    expected = {"w": numbers}
    content = numbers.numpy().tobytes()
    for data in (
        as_zip(tensor(), [("0", content)]),
        as_legacy(tensor(end=b"N"), ["0"], struct.pack("<q", 4) + content),
    ):
        assert torch.equal(read_state(data, LARGEST)["w"], expected["w"])
        assert torch.equal(torch.load(io.BytesIO(data), weights_only=True)["w"], expected["w"])


@pytest.mark.parametrize(
    "facts",
    [
        {"numel": 5},
        {"numel": 3},
        {"numel": 2**31 - 1},
        {"numel": -4},
        {"offset": 1},
        {"offset": -1},
        {"size": (5,)},
        {"size": (-4,)},
        {"size": (0,)},
        {"size": (2, 3), "stride": (1, 1)},
        {"size": (2**30,), "stride": (0,)},
        {"size": (2,), "stride": (4,)},
        {"size": (2,), "stride": (-1,)},
        {"size": (2, 2), "stride": (1,)},
        {"storage": "torch\nDoubleStorage"},
        {"storage": "torch\nQInt8Storage"},
        {"storage": "os\nsystem"},
        {"key": "1"},
        {"key": "../data.pkl"},
    ],
    ids=str,
)
@pytest.mark.parametrize("legacy", [False, True])
def test_a_tensor_that_is_not_what_is_stored_is_refused(facts, legacy):
    content = torch.arange(4.0).numpy().tobytes()
    if legacy:
        data = as_legacy(tensor(**facts), ["0"], struct.pack("<q", 4) + content)
    else:
        data = as_zip(tensor(**facts), [("0", content)])
    state_refused(data)


@pytest.mark.parametrize("numel", [-1, 3, 5, 2**62])
def test_a_count_that_is_not_there_is_refused(numel):
    content = torch.arange(4.0).numpy().tobytes()
    state_refused(as_legacy(tensor(), ["0"], struct.pack("<q", numel) + content))


def test_a_compressed_or_doubled_zip_is_refused():
    content = torch.arange(4.0).numpy().tobytes()
    state_refused(as_zip(tensor(), [("0", content)], zipfile.ZIP_DEFLATED), "is compressed")
    with pytest.warns(UserWarning, match="Duplicate name"):
        doubled = as_zip(tensor(), [("0", content), ("0", content)])
    state_refused(doubled, "an entry twice")
    state_refused(as_zip(tensor(), [("0", bytes(LARGEST))]), "more than")


def test_keys_that_take_forever_to_hash_and_a_memo_without_end_cost_nothing():
    doubled = b"".join(b"q" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(200))
    state_refused(as_zip(pickled(b"}", b")", doubled, text("v"), b"s")), "no text")
    state_refused(as_zip(pickled(b"}r\xff\xff\xff\x7f", b"]s")))


def test_a_state_that_holds_more_than_tensors_is_refused(members):
    refused(packed(with_state(members, {"w": 1})), "state.torch: entry 'w' is no tensor")
    refused(packed(with_state(members, [torch.zeros(1)])), "state.torch")
    refused(packed(with_state(members, {1: torch.zeros(1)})), "state.torch", "no text")
    refused(packed(members | {"state.torch": b""}), "state.torch: damaged")
    refused(packed(members | {"state.torch": members["state.torch"][:900]}), "state.torch: damaged")


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_state_dict_is_read_as_torch_reads_it(data):
    shapes = st.lists(st.integers(1, 4), max_size=4)
    kinds = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]
    state = {}
    for number in range(data.draw(st.integers(0, 4))):
        value = torch.randn(data.draw(shapes)).to(data.draw(st.sampled_from(kinds)))
        if value.ndim > 1 and data.draw(st.booleans()):
            value = value.transpose(0, 1)[..., value.shape[0] // 2 :]
        state[f"layer.{number}"] = value if value.numel() else torch.ones(1)
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=data.draw(st.booleans()))
    read = read_state(buffer.getvalue(), LARGEST)
    expected = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
    assert list(read) == list(expected)
    for name, value in expected.items():
        assert read[name].dtype == value.dtype
        assert torch.equal(read[name], value)


@settings(max_examples=300, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3)
)
def test_a_damaged_archive_is_refused_or_read_and_nothing_else(places):
    data = bytearray(DAMAGED)
    for place, value in places:
        data[place % len(data)] = value
    with suppress(InputError):
        read_archive(bytes(data), LARGEST)


def legacy_archive():
    members = members_of(small_network())
    return packed(with_state(members, state_of(members), _use_new_zipfile_serialization=False))


DAMAGED = legacy_archive()
