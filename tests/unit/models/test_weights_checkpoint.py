"""TensorFlow checkpoints without TensorFlow: one that it wrote, every kind of damage, and a table made by hand."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.models.crc32c import crc32c, masked
from gesta.models.i3d import I3d
from gesta.models.published import PUBLISHED_WEIGHTS, PublishedFile, PublishedWeights
from gesta.models.sorted_table import MAGIC, BadTable, read_table, read_varint
from gesta.models.tf_checkpoint import checkpoint_prefix, read_checkpoint, read_tensors
from gesta.models.weight_names import DEEPMIND_I3D
from gesta.models.weights import load_published
from gesta.schema import BadInput, UnknownName

SMALL = Path(__file__).resolve().parents[2] / "golden" / "i3d" / "small_checkpoint"
VALUES = json.loads((SMALL / "values.json").read_text())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the small checkpoint, to damage."""
    return Path(shutil.copytree(SMALL, tmp_path / "copy"))


def test_every_kind_of_number_that_tensorflow_wrote_is_read() -> None:
    checkpoint = read_checkpoint(SMALL)
    assert checkpoint.num_shards == 2
    assert {entry.shard for entry in checkpoint.entries.values()} == {0, 1}
    assert set(checkpoint.entries) == {*VALUES, "text", "parted"}
    tensors = read_tensors(checkpoint, VALUES)
    for name, stored in VALUES.items():
        found = tensors[name]
        assert str(found.dtype) == stored["dtype"], name
        assert list(found.shape) == stored["shape"], name
        if found.dtype.kind == "c":
            assert [[value.real, value.imag] for value in found.ravel().tolist()] == stored["values"]
        else:
            assert found.ravel().tolist() == stored["values"], name


@pytest.mark.parametrize("name", ["", "small.ckpt", "small.ckpt.index", "small.ckpt.data-00001-of-00002"])
def test_a_checkpoint_is_found_by_its_folder_its_name_or_a_file(name: str) -> None:
    assert checkpoint_prefix(SMALL / name) == SMALL / "small.ckpt"


def test_text_parts_and_strange_names_are_errors_of_their_own() -> None:
    checkpoint = read_checkpoint(SMALL)
    with pytest.raises(BadInput, match=r"00000-of-00002: text: the tensor is of kind 7 \(text is 7\), no number"):
        read_tensors(checkpoint, ["text"])
    with pytest.raises(BadInput, match=r"parted: the tensor is stored in slices, one a part\. Save it from one var"):
        read_tensors(checkpoint, ["parted"])
    with pytest.raises(UnknownName, match=r"no tensor 'other/int9'\. Did you mean 'other/int8'"):
        read_tensors(checkpoint, ["other/int9"])


def test_what_is_absent_is_named(copy: Path, tmp_path: Path) -> None:
    (copy / "small.ckpt.data-00001-of-00002").unlink()
    with pytest.raises(BadInput, match=r"small\.ckpt\.data-00001-of-00002: the checkpoint's values are absent"):
        read_tensors(read_checkpoint(copy), VALUES)
    with pytest.raises(BadInput, match=r"files ending in \.index: none"):
        read_checkpoint(tmp_path)
    with pytest.raises(BadInput, match=r"none\.ckpt\.index: there is no index of a checkpoint"):
        read_checkpoint(tmp_path / "none.ckpt")
    shutil.copy(copy / "small.ckpt.index", copy / "other.ckpt.index")
    with pytest.raises(BadInput, match=r"files ending in \.index: other\.ckpt\.index, small\.ckpt\.index"):
        read_checkpoint(copy)


def test_every_changed_byte_of_the_values_is_seen(copy: Path) -> None:
    path = copy / "small.ckpt.data-00000-of-00002"
    whole = path.read_bytes()
    checkpoint = read_checkpoint(copy)
    for entry in checkpoint.entries.values():
        if entry.shard != 0 or entry.size_bytes == 0 or entry.name not in VALUES:
            continue
        at = entry.offset + entry.size_bytes // 2
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(BadInput, match=f"{entry.name}: the values have checksum .* is stored. Download it again"):
            read_tensors(checkpoint, [entry.name])
        path.write_bytes(whole[:at])
        with pytest.raises(BadInput, match=f"{entry.name}: the file ends .* bytes before the tensor does"):
            read_tensors(checkpoint, [entry.name])


def test_every_changed_byte_of_the_index_is_seen_or_does_no_harm(copy: Path) -> None:
    path = copy / "small.ckpt.index"
    whole = path.read_bytes()
    expected = read_checkpoint(copy)
    seen = 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        try:
            # The footer's padding carries no sum.
            assert read_checkpoint(copy) == expected
        except BadInput as error:
            assert "no index of a TensorFlow checkpoint" in str(error)  # noqa: PT017
            seen += 1
    assert seen > len(whole) - 48


@given(st.data())
def test_no_file_breaks_the_reader(data: st.DataObject) -> None:
    whole = (SMALL / "small.ckpt.index").read_bytes()
    kind = data.draw(st.sampled_from(["cut", "noise", "spliced"]))
    if kind == "cut":
        text = whole[: data.draw(st.integers(0, len(whole) - 1))]
    elif kind == "noise":
        text = data.draw(st.binary(max_size=200))
    else:
        text = data.draw(st.binary(max_size=60)) + whole[-48:]
    with pytest.raises(BadTable):
        list(read_table(text))


def test_a_pointer_file_in_place_of_the_index_is_explained(copy: Path) -> None:
    (copy / "small.ckpt.index").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 10953\n")
    with pytest.raises(BadInput, match=r"the last 8 bytes are .*Git LFS leaves such"):
        read_checkpoint(copy)


def varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def written_block(entries: list[tuple[bytes, bytes]], *, kind: int = 0, restart_every: int = 16) -> bytes:
    """A block of a sorted-string table with its trailer, keys shortened by what they share with the one before."""
    body, restarts, before = b"", [], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % restart_every == 0:
            restarts.append(len(body))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    restarts = restarts or [0]
    body += b"".join(struct.pack("<I", at) for at in restarts) + struct.pack("<I", len(restarts)) + bytes([kind])
    return body + struct.pack("<I", masked(crc32c(body)))


def written_table(entries: list[tuple[bytes, bytes]], *, per_block: int = 7, kind: int = 0) -> bytes:
    """A table of those entries, as TensorFlow lays it out."""
    data, index = b"", []
    for begin in range(0, len(entries), per_block):
        part = entries[begin : begin + per_block]
        block = written_block(part, kind=kind, restart_every=3)
        index.append((part[-1][0], varint(len(data)) + varint(len(block) - 5)))
        data += block
    handles = b""
    for block in (written_block([]), written_block(index, restart_every=1)):
        handles += varint(len(data)) + varint(len(block) - 5)
        data += block
    return data + handles.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


@given(st.dictionaries(st.binary(max_size=9), st.binary(max_size=300), max_size=40), st.integers(1, 9))
def test_a_table_gives_back_what_was_written(entries: dict[bytes, bytes], per_block: int) -> None:
    ordered = sorted(entries.items())
    assert list(read_table(written_table(ordered, per_block=per_block))) == ordered


@given(st.integers(0, 2**64 - 1))
def test_numbers_survive_their_bytes(value: int) -> None:
    assert read_varint(b"\x80" + varint(value), 1) == (value, 1 + len(varint(value)))


def test_compressed_tables_and_endless_numbers_are_refused() -> None:
    with pytest.raises(BadTable, match=r"is compressed \(kind 1\)"):
        list(read_table(written_table([(b"a", b"b")], kind=1)))
    with pytest.raises(BadTable, match="does not end"):
        read_varint(b"\xff" * 12, 0)
    with pytest.raises(BadTable, match="does not end"):
        read_varint(b"\xff", 0)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_sums_are_crc_32c(first: bytes, second: bytes) -> None:
    def plain(data: bytes) -> int:
        crc = 0xFFFFFFFF
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
        return crc ^ 0xFFFFFFFF

    assert crc32c(first + second) == plain(first + second)


def test_known_sums() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    # Source: RFC 3720, appendix B.4.
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


def fields(*parts: tuple[int, int | bytes]) -> bytes:
    """A protocol buffer's message of numbers and nested messages."""
    text = b""
    for number, value in parts:
        if isinstance(value, bytes):
            text += varint(number << 3 | 2) + varint(len(value)) + value
        elif number == 6:
            text += varint(number << 3 | 5) + struct.pack("<I", value)
        else:
            text += varint(number << 3) + varint(value)
    return text


def write_checkpoint(prefix: Path, tensors: dict[str, np.ndarray]) -> None:
    """A checkpoint of float32 tensors in one shard."""
    entries, data = [(b"", fields((1, 1)))], b""
    for name in sorted(tensors):
        value = np.ascontiguousarray(tensors[name], np.float32)
        shape = b"".join(fields((2, fields((1, size)))) for size in value.shape)
        place = ((4, len(data)), (5, value.nbytes), (6, masked(crc32c(value.tobytes()))))
        entries.append((name.encode(), fields((1, 1), (2, shape), *place)))
        data += value.tobytes()
    prefix.with_name(f"{prefix.name}.index").write_bytes(written_table(entries))
    prefix.with_name(f"{prefix.name}.data-00000-of-00001").write_bytes(data)


def deepmind_tensors(model: I3d, scope: str, *, ones: int) -> dict[str, np.ndarray]:
    """Drawn values under DeepMind's names and layout; a norm's values are [1] * `ones` + [O]."""
    rng, tensors = np.random.default_rng(7), {}
    for ours, slot in model.state_dict().items():
        if (name := DEEPMIND_I3D.theirs(ours)) is not None:
            value = rng.random(tuple(slot.shape), np.float32)
            is_norm = value.ndim == 1 and "batch_norm" in name
            tensors[scope + name] = (
                value.transpose(2, 3, 4, 1, 0) if value.ndim == 5 else value.reshape(*[1] * ones * is_norm, -1)
            )
    return tensors


@pytest.mark.parametrize(("scope", "ones"), [("RGB/inception_i3d/", 0), ("", 4)])
def test_a_deepmind_checkpoint_fills_i3d(tmp_path: Path, scope: str, ones: int) -> None:
    model = I3d(num_classes=6, width=0.125)
    tensors = deepmind_tensors(model, scope, ones=ones)
    extra = {f"{name}/Momentum": value for name, value in tensors.items()} if not scope else {}
    write_checkpoint(tmp_path / "model.ckpt", {**tensors, **extra, "global_step": np.zeros(())})
    loaded = load_published(model, tmp_path)
    assert loaded.rule == "deepmind-i3d"
    assert len(loaded.filled) == 230
    assert sorted(loaded.ignored) == sorted([*extra, "global_step"])
    assert {name.rpartition(".")[2] for name in loaded.constants} == {"weight", "num_batches_tracked"}
    state = model.state_dict()
    assert all((state[name] == 1).all() for name in loaded.constants if name.endswith("norm.weight"))
    kernel = tensors[f"{scope}Mixed_5b/Branch_2/Conv3d_0a_3x3/conv_3d/w"]
    found = state["trunk.blocks.Mixed_5b.branch_2b.conv.weight"].numpy()
    assert found[3, 1, 0, 2, 1] == kernel[0, 2, 1, 1, 3]
    mean = tensors[f"{scope}Mixed_3c/Branch_1/Conv3d_0a_1x1/batch_norm/moving_mean"]
    assert (state["trunk.blocks.Mixed_3c.branch_1a.norm.running_mean"].numpy() == mean.ravel()).all()


def test_of_two_streams_in_one_checkpoint_the_fitting_one_is_taken(tmp_path: Path) -> None:
    rgb, flow = I3d(num_classes=6, width=0.125), I3d(num_classes=6, width=0.125, num_channels=2)
    tensors = deepmind_tensors(rgb, "RGB/inception_i3d/", ones=0)
    tensors |= deepmind_tensors(flow, "Flow/inception_i3d/", ones=0)
    write_checkpoint(tmp_path / "model.ckpt", tensors)
    for model, other in ((rgb, "Flow/"), (flow, "RGB/")):
        loaded = load_published(model, tmp_path / "model.ckpt")
        assert len(loaded.ignored) == 230
        assert all(name.startswith(other) for name in loaded.ignored)


def test_a_variable_too_many_or_too_few_is_named(tmp_path: Path) -> None:
    model = I3d(num_classes=6, width=0.125)
    tensors = deepmind_tensors(model, "RGB/inception_i3d/", ones=0)
    del tensors["RGB/inception_i3d/Mixed_5b/Branch_2/Conv3d_0a_3x3/conv_3d/w"]
    tensors["RGB/inception_i3d/Mixed_5b/Branch_2/Conv3d_0b_3x3/conv_3d/w"] = np.zeros(3)
    write_checkpoint(tmp_path / "model.ckpt", tensors)
    with pytest.raises(BadInput) as error:
        load_published(model, tmp_path)
    text = str(error.value)
    assert "it lacks RGB/inception_i3d/Mixed_5b/Branch_2/Conv3d_0a_3x3/conv_3d/w" in text
    assert "it has RGB/inception_i3d/Mixed_5b/Branch_2/Conv3d_0b_3x3/conv_3d/w, for which the model has no pl" in text


class QuietFiles(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *args: object) -> None:
        pass


def test_a_name_becomes_weights_and_classes_in_the_logits_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["zumba", "abseiling", "juggling", "yoga", "skiing", "archery"]
    folder = tmp_path / "served" / "checkpoints" / "tiny"
    folder.mkdir(parents=True)
    tensors = deepmind_tensors(I3d(num_classes=6, width=0.125), "", ones=4)
    write_checkpoint(folder / "model.ckpt", tensors)
    (tmp_path / "served" / "label_map_600.txt").write_text("\n".join(names) + "\n")
    paths = (
        "checkpoints/tiny/model.ckpt.index",
        "checkpoints/tiny/model.ckpt.data-00000-of-00001",
        "label_map_600.txt",
    )
    hashes = {path: hashlib.sha256((tmp_path / "served" / path).read_bytes()).hexdigest() for path in paths}
    entry = PublishedWeights(
        base_url="https://weights.invalid/",
        files=tuple(PublishedFile(path=path, sha256=hashes[path]) for path in paths),
        models=("i3d",),
        classes="kinetics-600",
        licence="Apache-2.0",
        source="a test",
    )
    monkeypatch.setitem(PUBLISHED_WEIGHTS, "tiny", entry)
    model = I3d(num_classes=6, width=0.125)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietFiles, directory=str(tmp_path / "served"))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            first = load_published(model, "tiny", cache_dir=tmp_path / "cache", base_url=url)
        finally:
            server.shutdown()
            thread.join()
    # The second time nothing is asked for.
    again = load_published(model, "tiny", cache_dir=tmp_path / "cache")
    assert first == again
    assert first.class_names == tuple(names)
    assert dict(first.sha256) == hashes
    assert first.path == tmp_path / "cache" / "tiny" / "model.ckpt"
    bias = tensors["Logits/Conv3d_0c_1x1/conv_3d/b"]
    assert model.logits.bias.tolist() == bias.tolist()
    other = I3d(num_classes=4, width=0.125)
    assert load_published(other, "tiny", cache_dir=tmp_path / "cache", head="fresh").class_names == ()
