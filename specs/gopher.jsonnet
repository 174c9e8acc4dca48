// The embedded default: a LLaMA of 4.1M parameters that learns to write Go from
// the Go distribution on this machine, byte by byte, in about ten minutes on
// two cores. The recipe is the paper's, scaled down.
local llama = import 'llamac/llama.libsonnet';

llama {
  name: 'gopher',
  doc: 'A small LLaMA that learns to write Go from the source of the Go distribution.',
  model+: {
    dim: 256,
    n_layers: 5,
    n_heads: 8,
    ffn_dim: 704,  // 2/3 of 4*dim, up to a multiple of 64
    vocab: 256,  // bytes
    context: 256,
    // Weights that write to the residual stream start smaller, by the number of
    // additions to it (Radford et al. 2019): a choice for small models.
    residual_std:: self.init_std / std.sqrt(2 * self.n_layers),
  },
  train+: {
    micro_batch: 16,
    accum: 1,
    steps: 600,
    save_every: 100,
    eval: { every: 50, batches: 4 },
    sample: { every: 200, count: 1, tokens: 256, prompt: 'package ', temperature: 0.7, top_p: 0.95 },
  },
  optim+: { lr: 1.5e-3 },
  schedule+: { warmup: 60 },
  data+: {
    sources: [
      { name: 'go_source', share: 0.88, kind: 'go_source', paths: ['$GOROOT/src'] },
      {
        name: 'go_docs',
        share: 0.1,
        kind: 'go_docs',
        paths: ['$GOROOT/src'],
        exclude: ['Isaac.Newton-Opticks.txt'],
      },
      { name: 'newton', share: 0.02, kind: 'files', paths: ['$GOROOT/src/testdata/Isaac.Newton-Opticks.txt'] },
    ],
    validation: 0.01,
    dedup: true,
  },
  tokenizer+: { kind: 'byte', bos: false },
}
