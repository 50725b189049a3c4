"""A decoder as ONNX with past_key_values, and what compression needs of a graph: queries, or attention. No torch.

    plain(config, weights)       MatMul and Softmax, as torch.onnx.export and optimum write a decoder
    hand_out_queries(graph, ...) makes the queries of such a graph outputs: query.0, query.1, ...
    grouped(config, weights)     GroupQueryAttention of com.microsoft, as onnxruntime-genai's builder writes it. Queries are rotated
                                 inside: its output_qk is what can be had, and attribute qk_output 1 asks for it before the softmax

Inputs: ids (1, n), position_ids (1, n); past.0.key, past.0.value (1, H, p, D), ...; of plain also mask (1, 1, n, p + n), added to logits.
Outputs: logits (1, n, V), present.0.key, present.0.value (1, H, p + n, D), ...; of grouped also qk.0 (1, Hq, n, p + n), ...
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from small_decoder import Config, Weights

OPSET, MICROSOFT = 17, "com.microsoft"


class Graph:
    """Nodes and constants, as they come."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """The name of the output, or a list of them."""
        names = [f"{kind}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def shape(self, *sizes: int) -> str:
        return self.constant(sizes, np.int64)

    def alias(self, source: str, name: str) -> None:
        self.nodes.append(helper.make_node("Identity", [source], [name]))

    def norm(self, x: str, weight: Any, epsilon: float) -> str:
        square = self.op("ReduceMean", self.op("Mul", x, x), axes=[-1], keepdims=1)
        root = self.op("Sqrt", self.op("Add", square, self.constant(epsilon)))
        scaled: str = self.op("Mul", self.op("Div", x, root), self.constant(weight))
        return scaled

    def heads(self, x: str, count: int, dim: int) -> str:
        """(1, n, count * dim) as (1, count, n, dim)."""
        turned: str = self.op("Transpose", self.op("Reshape", x, self.shape(1, -1, count, dim)), perm=[0, 2, 1, 3])
        return turned

    def rotated(self, x: str, cosine: str, sine: str) -> str:
        first, second = self.op("Split", x, outputs=2, axis=-1)
        half = self.op("Concat", self.op("Neg", second), first, axis=-1)
        turned: str = self.op("Add", self.op("Mul", x, cosine), self.op("Mul", half, sine))
        return turned


def plain(config: Config, weights: Weights) -> Any:
    """The model. Its queries are not outputs."""
    graph, group = Graph(), config.query_heads // config.kv_heads
    positions = graph.op("Unsqueeze", graph.op("Cast", "position_ids", to=TensorProto.FLOAT), graph.shape(1, -1))
    angles = graph.op("Mul", positions, graph.constant(config.frequencies))  # (1, 1, n, D / 2)
    both = graph.op("Concat", angles, angles, axis=-1)
    cosine, sine = graph.op("Cos", both), graph.op("Sin", both)

    def attention(layer: int, x: str) -> str:
        q, k, v = (graph.op("MatMul", x, graph.constant(weights[f"{layer}.{name}"])) for name in "qkv")
        queries = graph.rotated(graph.heads(q, config.query_heads, config.head_dim), cosine, sine)
        keys = graph.rotated(graph.heads(k, config.kv_heads, config.head_dim), cosine, sine)
        keys = graph.op("Concat", f"past.{layer}.key", keys, axis=2)
        values = graph.heads(v, config.kv_heads, config.head_dim)
        values = graph.op("Concat", f"past.{layer}.value", values, axis=2)
        graph.alias(keys, f"present.{layer}.key")
        graph.alias(values, f"present.{layer}.value")
        wide = []
        for rows in (keys, values):  # a copy for each query head of a group
            copies = graph.op("Expand", graph.op("Unsqueeze", rows, graph.shape(2)), graph.shape(1, 1, group, 1, 1))
            wide.append(graph.op("Reshape", copies, graph.shape(1, config.query_heads, -1, config.head_dim)))
        logits = graph.op("MatMul", queries, graph.op("Transpose", wide[0], perm=[0, 1, 3, 2]))
        scaled = graph.op("Mul", logits, graph.constant(config.head_dim**-0.5))
        weight = graph.op("Softmax", graph.op("Add", scaled, "mask"), axis=-1)
        mixed = graph.op("Transpose", graph.op("MatMul", weight, wide[1]), perm=[0, 2, 1, 3])
        out: str = graph.op("Reshape", mixed, graph.shape(1, -1, config.query_heads * config.head_dim))
        return out

    mask = helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1, "n", "t"])
    return _model(config, weights, graph, attention, [mask], [])


def grouped(config: Config, weights: Weights, own_positions: bool = True) -> Any:
    """The model. If not `own_positions`, it counts a token's position from the rows before it, and has no input for it."""
    graph = Graph()
    angles = np.arange(config.positions)[:, None] * config.frequencies
    cosine, sine = graph.constant(np.cos(angles)), graph.constant(np.sin(angles))

    def attention(layer: int, x: str) -> str:
        q, k, v = (graph.op("MatMul", x, graph.constant(weights[f"{layer}.{name}"])) for name in "qkv")
        past = [f"past.{layer}.key", f"past.{layer}.value"]
        inputs = [q, k, v, *past, "seqlens_k", "total_sequence_length", cosine, sine]
        sizes = dict(num_heads=config.query_heads, kv_num_heads=config.kv_heads, do_rotary=1, qk_output=1)
        inputs += ["position_ids"] if own_positions else []
        out, keys, values, qk = graph.op("GroupQueryAttention", *inputs, outputs=4, domain=MICROSOFT, **sizes)
        graph.alias(keys, f"present.{layer}.key")
        graph.alias(values, f"present.{layer}.value")
        graph.alias(qk, f"qk.{layer}")
        attended: str = out
        return attended

    lengths = [
        helper.make_tensor_value_info("seqlens_k", TensorProto.INT32, [1]),
        helper.make_tensor_value_info("total_sequence_length", TensorProto.INT32, []),
    ]
    outputs = [
        helper.make_tensor_value_info(f"qk.{layer}", TensorProto.FLOAT, [1, config.query_heads, "n", "t"])
        for layer in range(config.layers)
    ]
    return _model(config, weights, graph, attention, lengths, outputs, own_positions)


def _model(
    config: Config,
    weights: Weights,
    graph: Graph,
    attention: Any,
    more_inputs: list[Any],
    more_outputs: list[Any],
    positions: bool = True,
) -> Any:
    """What both have around attention."""
    x = graph.op("Gather", graph.constant(weights["embed"]), "ids", axis=0)
    for layer in range(config.layers):
        attended = attention(layer, graph.norm(x, weights[f"{layer}.norm1"], config.epsilon))
        x = graph.op("Add", x, graph.op("MatMul", attended, graph.constant(weights[f"{layer}.o"])))
        y = graph.norm(x, weights[f"{layer}.norm2"], config.epsilon)
        gate, up = (graph.op("MatMul", y, graph.constant(weights[f"{layer}.{name}"])) for name in ("gate", "up"))
        swish = graph.op("Mul", graph.op("Mul", gate, graph.op("Sigmoid", gate)), up)
        x = graph.op("Add", x, graph.op("MatMul", swish, graph.constant(weights[f"{layer}.down"])))
    x = graph.norm(x, weights["norm"], config.epsilon)
    graph.alias(graph.op("MatMul", x, graph.constant(weights["head"])), "logits")
    names = [f"{layer}.{part}" for layer in range(config.layers) for part in ("key", "value")]
    rows: dict[str, list[Any]] = {"past": [1, config.kv_heads, "p", config.head_dim]}
    rows["present"] = [1, config.kv_heads, "t", config.head_dim]
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "n"])]
    if positions:
        inputs.append(helper.make_tensor_value_info("position_ids", TensorProto.INT64, [1, "n"]))
    inputs += more_inputs
    inputs += [helper.make_tensor_value_info(f"past.{name}", TensorProto.FLOAT, rows["past"]) for name in names]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "n", config.words]), *more_outputs]
    outputs += [helper.make_tensor_value_info(f"present.{name}", TensorProto.FLOAT, rows["present"]) for name in names]
    whole = helper.make_graph(graph.nodes, "decoder", inputs, outputs, graph.constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(whole, opset_imports=opsets, ir_version=9)


def hand_out_queries(model: onnx.ModelProto, query_heads: int, head_dim: int) -> None:
    """Adds outputs query.0, query.1, ... (1, Hq, n, D): what each softmax's product multiplies with the keys, after rotation."""
    made = {name: node for node in model.graph.node for name in node.output}
    for layer, softmax in enumerate([node for node in model.graph.node if node.op_type == "Softmax"]):
        node = softmax
        while node.op_type != "MatMul":  # back over mask and scale
            node = made[node.input[0]]
        shape = [1, query_heads, "n", head_dim]
        model.graph.node.append(helper.make_node("Identity", [node.input[0]], [f"query.{layer}"]))
        model.graph.output.append(helper.make_tensor_value_info(f"query.{layer}", TensorProto.FLOAT, shape))
