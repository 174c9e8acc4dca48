// LLaMA 33B: Table 2 of the paper (arXiv 2302.13971). Its files and Hugging Face
// call it 30B.
local llama1 = import 'llamac/llama1.libsonnet';

llama1 {
  name: 'llama33b',
  doc: 'LLaMA 33B with the recipe of the paper.',
  model+: {
    dim: 6656,
    n_layers: 60,
    n_heads: 52,
    ffn_dim: 17920,  // 2/3 of 4*dim, up to a multiple of 256 as in Meta's code
  },
  optim+: { lr: 1.5e-4 },
  data+: { tokens: 1.4e12 },
}
