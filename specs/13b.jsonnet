// LLaMA 13B: Table 2 of the paper (arXiv 2302.13971).
local llama1 = import 'llamac/llama1.libsonnet';

llama1 {
  name: 'llama13b',
  doc: 'LLaMA 13B with the recipe of the paper.',
  model+: {
    dim: 5120,
    n_layers: 40,
    n_heads: 40,
    ffn_dim: 13824,  // 2/3 of 4*dim, up to a multiple of 256 as in Meta's code
  },
  optim+: { lr: 3.0e-4 },
  data+: { tokens: 1.0e12 },
}
