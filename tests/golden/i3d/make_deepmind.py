"""Makes `deepmind.jsonl`, `deepmind_names.json` and `small_checkpoint/`: what DeepMind's I3D gives for pseudo-weights.

    python tests/golden/i3d/make_deepmind.py KINETICS_I3D [CHECKPOINTS]

KINETICS_I3D: a checkout of google-deepmind/kinetics-i3d. Runs under TensorFlow 1.15 with dm-sonnet 1.36 (Python 3.7;
see the README). CHECKPOINTS: a folder to save the whole network in, RGB and flow, 51 MB each, to try `load_published`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

try:
    import sonnet
    import tensorflow as tf
except ImportError:  # where the tests are read and nothing is made
    sonnet = tf = None

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from pseudo_weights import digest_of, pseudo_clip, pseudo_weight, short, write_cases  # noqa: E402

LAST = "Mixed_5c"
# Scope, last end point, [T, H, W]. Logits want 7 x 7 before the pool: 193 to 224 pixels.
CASES = [
    ("RGB", "Logits", (9, 193, 200)),
    ("RGB", "Logits", (16, 224, 224)),
    ("RGB", LAST, (9, 57, 57)),
    ("RGB", LAST, (8, 64, 64)),
    ("RGB", LAST, (13, 75, 34)),
    ("RGB", LAST, (1, 33, 47)),
    ("RGB", LAST, (2, 1, 3)),
    ("Flow", "Logits", (10, 224, 209)),
    ("Flow", LAST, (11, 50, 97)),
]


def fill(session: tf.Session, scope: str) -> None:
    """Give every variable its pseudo-weight, in TensorFlow's layout."""
    for variable in tf.global_variables():
        name = variable.op.name[len(scope + "/inception_i3d/") :]
        shape = tuple(variable.shape.as_list())
        if name.endswith("conv_3d/w"):
            value = pseudo_weight(name, (shape[4], shape[3], *shape[:3])).transpose(2, 3, 4, 1, 0)
        else:
            value = pseudo_weight(name, (shape[-1],)).reshape(shape)
        variable.load(value, session)


def run(network: type, scope: str, last: str, thw: tuple[int, int, int], save: Path | None) -> dict:
    clip = pseudo_clip((1, 3 if scope == "RGB" else 2, *thw))
    with tf.Graph().as_default(), tf.Session() as session:
        with tf.variable_scope(scope):
            _, ends = network(400, spatial_squeeze=True, final_endpoint=last)(
                tf.constant(clip.transpose(0, 2, 3, 4, 1)), is_training=False, dropout_keep_prob=1.0
            )
        fill(session, scope)
        given = session.run(ends)
        names = {v.op.name: v.shape.as_list() for v in tf.global_variables()}
        if save is not None:
            tf.train.Saver().save(session, str(save / scope.lower() / "model.ckpt"))
    case = {"scope": scope, "last": last, "thw": list(thw), "ends": {}}
    for name, values in given.items():
        as_ours = values.transpose(0, 4, 1, 2, 3) if values.ndim == 5 else values
        case["ends"][name] = digest_of(name, as_ours)
    if last == "Logits":
        case["logits"] = [short(value) for value in given["Logits"][0]]
    return {"case": case, "names": names}


def small_checkpoint(folder: Path) -> dict:
    """A checkpoint of two shards with every kind of number, and what is in it."""
    rng = np.random.RandomState(0)
    values = {
        "scope/float32": rng.standard_normal((2, 3, 5)).astype(np.float32),
        "scope/float64": rng.standard_normal((4,)),
        "scope/float16": rng.standard_normal((3, 2)).astype(np.float16),
        "scope/bfloat16": np.array([1.0, -2.5, 3.140625, 0.0], np.float32),
        "other/int8": np.array([-128, 0, 127], np.int8),
        "other/int16": np.array([[-32768], [32767]], np.int16),
        "other/int32": np.arange(-4, 4, dtype=np.int32).reshape(2, 2, 2),
        "other/int64": np.array(1 << 40, np.int64),
        "other/uint8": np.arange(256, dtype=np.uint8),
        "other/bool": np.array([True, False, True]),
        "other/complex64": np.array([1 + 2j, -3j], np.complex64),
        "empty": np.zeros((0, 3), np.float32),
    }
    with tf.Graph().as_default():
        variables = {}
        for number, (name, value) in enumerate(values.items()):
            with tf.device(f"/cpu:{number % 2}"):
                tensor = tf.constant(value)
                if name.endswith("bfloat16"):
                    tensor = tf.cast(tensor, tf.bfloat16)
                variables[name] = tf.Variable(tensor, name=name)
        with tf.device("/cpu:0"):
            tf.Variable(["text"], name="text")
            tf.get_variable(
                "parted",
                shape=(6, 2),
                initializer=tf.ones_initializer(),
                partitioner=tf.fixed_size_partitioner(3, axis=0),
            )
        with tf.Session(config=tf.ConfigProto(device_count={"CPU": 2})) as session:
            session.run(tf.global_variables_initializer())
            tf.train.Saver(sharded=True).save(session, str(folder / "small.ckpt"), write_meta_graph=False)
    return {name: {"dtype": str(v.dtype), "shape": list(v.shape), "values": plain(v)} for name, v in values.items()}


def plain(value: np.ndarray) -> list:
    if value.dtype.kind == "c":
        return [[float(v.real), float(v.imag)] for v in value.reshape(-1)]
    return value.reshape(-1).tolist()


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    save = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    from i3d import InceptionI3d

    cases, names = [], {}
    for number, (scope, last, thw) in enumerate(CASES):
        is_last = last == "Logits" and scope not in names
        found = run(InceptionI3d, scope, last, thw, save if is_last else None)
        cases.append(found["case"])
        if last == "Logits":
            names[scope] = found["names"]
        print(number, scope, last, thw, flush=True)
    versions = {"tensorflow": tf.__version__, "sonnet": sonnet.__version__, "numpy": np.__version__}
    write_cases(HERE / "deepmind.jsonl", versions, cases)
    lines = {scope: dict(sorted(found.items())) for scope, found in names.items()}
    (HERE / "deepmind_names.json").write_text(json.dumps(lines).replace('], "', '],\n"') + "\n")
    folder = HERE / "small_checkpoint"
    folder.mkdir(exist_ok=True)
    (folder / "values.json").write_text(json.dumps(small_checkpoint(folder)).replace('}, "', '},\n"') + "\n")
    (folder / "checkpoint").unlink()  # Nothing but this machine's path.


if __name__ == "__main__":
    main()
