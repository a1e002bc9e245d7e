"""The BERT encoder of MiniLM with mean pooling, as an ONNX graph.

Source: Devlin et al., BERT (arXiv 1810.04805), post-norm encoder; pooling and normalisation as in the model card of
sentence-transformers/all-MiniLM-L6-v2. Tensor names are those of Hugging Face's ``BertModel``.

In int8 every linear layer is onnxruntime's ``MatMulNBits`` with 8 bits: weights and activations are quantised in blocks
of 128 along the inner dimension, symmetric, each block with its own scale. One scale for a whole activation tensor
(onnxruntime's ``quantize_dynamic``) lost ten times as much here (cosine to float32 0.992 on average, 0.985 at worst,
against 0.999), because a few channels of a BERT encoder are far larger than the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

Precision = Literal["int8", "float32"]

LAYERS = 6
HEADS = 12
HIDDEN = 384
_HEAD = HIDDEN // HEADS
_EPSILON = 1e-12
_OPSET = 20
_BLOCK = 128
_INT8_LEVEL = 4  # MatMulNBits: compute in int8, so activations are quantised too


def build(tensors: Mapping[str, NDArray[np.float32]], precision: Precision) -> onnx.ModelProto:
    """The graph.

    Inputs: ``ids`` and ``mask``, int64 (batch, tokens). Output: ``vectors``, float32 (batch, 384), rows of length 1.
    """
    from onnx import TensorProto, checker, helper

    graph = _Graph(tensors, precision)
    hidden = graph.embed()
    bias = graph.attention_bias()
    for layer in range(LAYERS):
        hidden = graph.encode(layer, hidden, bias)
    graph.pool(hidden)
    shape = ["batch", "tokens"]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "minilm",
            [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("ids", "mask")],
            [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", HIDDEN])],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)],
        ir_version=10,
    )
    checker.check_model(model)
    return model


class _Graph:
    """Collects nodes; every method returns the name of its output."""

    def __init__(self, tensors: Mapping[str, NDArray[np.float32]], precision: Precision) -> None:
        self._tensors = tensors
        self._precision = precision
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        output = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output + "_op", **attributes))
        return output

    def constant(self, value: Any, dtype: str, name: str | None = None) -> str:
        import numpy as np
        from onnx import numpy_helper

        name = name or f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name))
        return name

    def linear(self, hidden: str, *parts: str) -> str:
        """``hidden @ W.T + b``; several parts become one product with their outputs side by side."""
        import numpy as np

        weight = np.concatenate([self._tensors[f"{part}.weight"] for part in parts]).T
        bias = np.concatenate([self._tensors[f"{part}.bias"] for part in parts])
        product = self._product(hidden, weight)
        return self.op("Add", product, self.constant(bias, "float32"))

    def _product(self, hidden: str, weight: NDArray[np.float32]) -> str:
        """``hidden @ weight`` with weight (inner, outer)."""
        if self._precision == "float32":
            return self.op("MatMul", hidden, self.constant(weight, "float32"))
        import numpy as np

        inner, outer = weight.shape
        blocks = weight.T.reshape(outer, inner // _BLOCK, _BLOCK)
        scales = np.abs(blocks).max(axis=-1) / 127
        stored = np.clip(np.rint(blocks / scales[..., None]) + 128, 0, 255)  # zero lies at 128
        return self.op(
            "MatMulNBits",
            hidden,
            self.constant(stored, "uint8"),
            self.constant(scales.reshape(-1), "float32"),
            domain="com.microsoft",
            K=inner,
            N=outer,
            bits=8,
            block_size=_BLOCK,
            accuracy_level=_INT8_LEVEL,
        )

    def norm(self, hidden: str, part: str) -> str:
        scale, shift = (self.constant(self._tensors[f"{part}.{name}"], "float32") for name in ("weight", "bias"))
        return self.op("LayerNormalization", hidden, scale, shift, axis=-1, epsilon=_EPSILON)

    def embed(self) -> str:
        words = self.constant(self._tensors["embeddings.word_embeddings.weight"], "float32", "words")
        # Every text is one segment, so the type embedding is the same everywhere and joins the positions.
        kind = self._tensors["embeddings.token_type_embeddings.weight"][0]
        places = self.constant(self._tensors["embeddings.position_embeddings.weight"] + kind, "float32", "places")
        length = self.op("Shape", "ids", start=1, end=2)
        used = self.op("Slice", places, self.constant([0], "int64"), length, self.constant([0], "int64"))
        return self.norm(self.op("Add", self.op("Gather", words, "ids"), used), "embeddings.LayerNorm")

    def attention_bias(self) -> str:
        """0 for tokens, a large negative number for padding; (batch, 1, 1, tokens)."""
        wide = self.op("Unsqueeze", self.op("Cast", "mask", to=1), self.constant([1, 2], "int64"))
        absent = self.op("Sub", self.constant(1.0, "float32"), wide)
        return self.op("Mul", absent, self.constant(-10_000.0, "float32"))

    def encode(self, layer: int, hidden: str, bias: str) -> str:
        prefix = f"encoder.layer.{layer}"
        own = f"{prefix}.attention.self"
        joined = self.linear(hidden, f"{own}.query", f"{own}.key", f"{own}.value")
        query, key, value = self._heads(joined)
        scores = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 1, 3, 2]))
        scaled = self.op("Mul", scores, self.constant(_HEAD**-0.5, "float32"))
        weights = self.op("Softmax", self.op("Add", scaled, bias), axis=-1)
        seen = self.op("Transpose", self.op("MatMul", weights, value), perm=[0, 2, 1, 3])
        merged = self.op("Reshape", seen, self.constant([0, 0, HIDDEN], "int64"))
        attended = self.linear(merged, f"{prefix}.attention.output.dense")
        hidden = self.norm(self.op("Add", attended, hidden), f"{prefix}.attention.output.LayerNorm")
        wide = self.op("Gelu", self.linear(hidden, f"{prefix}.intermediate.dense"))
        narrow = self.linear(wide, f"{prefix}.output.dense")
        return self.norm(self.op("Add", narrow, hidden), f"{prefix}.output.LayerNorm")

    def _heads(self, joined: str) -> Sequence[str]:
        """Query, key and value, each (batch, heads, tokens, 32), out of (batch, tokens, 3 * 384)."""
        from onnx import helper

        split = self.op("Reshape", joined, self.constant([0, 0, 3, HEADS, _HEAD], "int64"))
        turned = self.op("Transpose", split, perm=[2, 0, 3, 1, 4])
        names = [f"{turned}_{part}" for part in ("query", "key", "value")]
        self.nodes.append(
            helper.make_node("Split", [turned], [f"{name}_whole" for name in names], num_outputs=3, axis=0)
        )
        return [self.op("Squeeze", f"{name}_whole", self.constant([0], "int64"), output=name) for name in names]

    def pool(self, hidden: str) -> None:
        """Mean over the tokens that are no padding, then length 1."""
        present = self.op("Unsqueeze", self.op("Cast", "mask", to=1), self.constant([2], "int64"))
        axis = self.constant([1], "int64")
        total = self.op("ReduceSum", self.op("Mul", hidden, present), axis, keepdims=0)
        mean = self.op("Div", total, self.op("ReduceSum", present, axis, keepdims=0))
        length = self.op("ReduceL2", mean, self.constant([-1], "int64"), keepdims=1)
        self.op("Div", mean, length, output="vectors")
