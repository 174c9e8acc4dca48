// Constructors of the nodes that model.block and model.network are lists of.
//
// A list is in single-assignment form: each node has a name of its own and
// reads values that stand before it by their names. A block starts from the
// value 'x', a network from 'tokens'; the last node is the result. Shapes are B
// sequences, T positions, H heads, d channels of a head, D channels.
//
// `weight` and `bias` name weights: 'attention.wq' in a block is
// layers.N.attention.wq of layer N. Two nodes that name the same weight share
// it. `std` is the standard deviation of the weight at the start, if it is not
// model.init_std. `shard` says how tensor parallelism splits the weight:
// 'column' by outputs, 'row' by inputs.
local node(kind, name, inputs, fields={}) =
  { kind: kind, name: name, inputs: inputs } +
  { [f]: fields[f] for f in std.objectFields(fields) if fields[f] != null };

{
  // Weights.
  embedding(name, weight, out, x='tokens', std=null)::  // [B, T] -> [B, T, out]
    node('embedding', name, [x], { weight: weight, out: out, std: std }),
  linear(name, x, weight, out, bias=null, std=null, shard=null)::  // [.., D] -> [.., out]
    node('linear', name, [x], { weight: weight, out: out, bias: bias, std: std, shard: shard }),
  // `value` is the epsilon under the root.
  rms_norm(name, x, weight, value):: node('rms_norm', name, [x], { weight: weight, value: value }),
  layer_norm(name, x, weight, value, bias=null)::
    node('layer_norm', name, [x], { weight: weight, value: value, bias: bias }),

  // Attention.
  split_heads(name, x, heads):: node('split_heads', name, [x], { heads: heads }),  // [B, T, H*d] -> [B, H, T, d]
  merge_heads(name, x):: node('merge_heads', name, [x]),  // [B, H, T, d] -> [B, T, H*d]
  rope(name, x):: node('rope', name, [x]),  // as model.rope says
  repeat_kv(name, x, heads):: node('repeat_kv', name, [x], { heads: heads }),  // [B, H, T, d] -> [B, H*heads, T, d]
  matmul(name, a, b):: node('matmul', name, [a, b]),
  matmul_nt(name, a, b):: node('matmul_nt', name, [a, b]),  // b transposed in its last two axes
  causal_mask(name, x):: node('causal_mask', name, [x]),
  window_mask(name, x, value):: node('window_mask', name, [x], { value: value }),  // the last `value` positions
  softmax(name, x):: node('softmax', name, [x]),  // along the last axis

  // Arithmetic, element by element; `value` is a number.
  scale(name, x, value):: node('scale', name, [x], { value: value }),
  add_scalar(name, x, value):: node('add_scalar', name, [x], { value: value }),
  pow(name, x, value):: node('pow', name, [x], { value: value }),
  add(name, a, b):: node('add', name, [a, b]),
  sub(name, a, b):: node('sub', name, [a, b]),
  mul(name, a, b):: node('mul', name, [a, b]),
  div(name, a, b):: node('div', name, [a, b]),
  silu(name, x):: node('silu', name, [x]),
  gelu(name, x):: node('gelu', name, [x]),
  gelu_tanh(name, x):: node('gelu_tanh', name, [x]),
  sigmoid(name, x):: node('sigmoid', name, [x]),
  softplus(name, x):: node('softplus', name, [x]),
  relu(name, x):: node('relu', name, [x]),
  tanh(name, x):: node('tanh', name, [x]),
  exp(name, x):: node('exp', name, [x]),
  square(name, x):: node('square', name, [x]),
  sqrt(name, x):: node('sqrt', name, [x]),
  rsqrt(name, x):: node('rsqrt', name, [x]),
  neg(name, x):: node('neg', name, [x]),

  // Structure: `body` is model.block, run once a layer.
  repeat(name, x, layers, body):: node('repeat', name, [x], { layers: layers, body: body }),
}
