// LLaMA 7B: Table 2 of the paper (arXiv 2302.13971).
local llama1 = import 'llamac/llama1.libsonnet';

llama1 {
  name: 'llama7b',
  doc: 'LLaMA 7B with the recipe of the paper.',
  model+: {
    dim: 4096,
    n_layers: 32,
    n_heads: 32,
    ffn_dim: 11008,  // 2/3 of 4*dim, up to a multiple of 256 as in Meta's code
  },
  optim+: { lr: 3.0e-4 },
  data+: { tokens: 1.0e12 },
}
