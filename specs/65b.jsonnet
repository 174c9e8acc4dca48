// LLaMA 65B: Table 2 of the paper (arXiv 2302.13971).
local llama1 = import 'llamac/llama1.libsonnet';

llama1 {
  name: 'llama65b',
  doc: 'LLaMA 65B with the recipe of the paper.',
  model+: {
    dim: 8192,
    n_layers: 80,
    n_heads: 64,
    ffn_dim: 22016,  // 2/3 of 4*dim, up to a multiple of 256 as in Meta's code
    norm_eps: 1e-5,  // of the published params.json
  },
  optim+: { lr: 1.5e-4 },
  data+: { tokens: 1.4e12 },
}
