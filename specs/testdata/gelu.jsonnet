// LayerNorm and a feed-forward network with GELU and without a gate, as in GPT,
// but with rotary positions.
local node = import 'llamac/node.libsonnet';
local twin = import 'llamac/twin.libsonnet';

twin {
  name: 'gelu',
  doc: 'A tiny model with LayerNorm and an ungated GELU network.',
  model+: {
    local m = self,
    block: [
      node.layer_norm('attn.n', 'x', 'attention_norm', m.norm_eps, bias='attention_norm_bias'),
      node.linear('attn.q', 'attn.n', 'attention.wq', m.dim),
      node.linear('attn.k', 'attn.n', 'attention.wk', m.dim),
      node.linear('attn.v', 'attn.n', 'attention.wv', m.dim),
      node.split_heads('attn.qh', 'attn.q', m.n_heads),
      node.split_heads('attn.kh', 'attn.k', m.n_heads),
      node.split_heads('attn.vh', 'attn.v', m.n_heads),
      node.rope('attn.qr', 'attn.qh'),
      node.rope('attn.kr', 'attn.kh'),
      node.matmul_nt('attn.s', 'attn.qr', 'attn.kr'),
      node.scale('attn.scaled', 'attn.s', 1 / std.sqrt(m.dim / m.n_heads)),
      node.causal_mask('attn.masked', 'attn.scaled'),
      node.softmax('attn.p', 'attn.masked'),
      node.matmul('attn.oh', 'attn.p', 'attn.vh'),
      node.merge_heads('attn.o', 'attn.oh'),
      node.linear('attn.out', 'attn.o', 'attention.wo', m.dim),
      node.add('r', 'x', 'attn.out'),
      node.layer_norm('ffn.n', 'r', 'ffn_norm', m.norm_eps, bias='ffn_norm_bias'),
      node.linear('ffn.u', 'ffn.n', 'feed_forward.w1', m.ffn_dim, bias='feed_forward.b1'),
      node.gelu('ffn.m', 'ffn.u'),
      node.linear('ffn.out', 'ffn.m', 'feed_forward.w2', m.dim, bias='feed_forward.b2'),
      node.add('out', 'r', 'ffn.out'),
    ],
  },
}
