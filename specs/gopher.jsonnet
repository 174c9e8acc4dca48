// The embedded default: a LLaMA of 3.7M parameters that learns to write Go from
// the Go distribution on this machine, in ten to twelve minutes on two cores. The
// recipe is the paper's, scaled down; its vocabulary is learned from the same
// text.
local llama = import 'llamac/llama.libsonnet';

llama {
  name: 'gopher',
  doc: 'A small LLaMA that learns to write Go from the source of the Go distribution.',
  model+: {
    dim: 256,
    n_layers: 4,
    n_heads: 8,
    ffn_dim: 704,  // 2/3 of 4*dim, up to a multiple of 64
    vocab: 2048,
    context: 512,
    tie: true,  // a small model has better use for half a million parameters
    init_std: 0.06,  // about 1 / sqrt(dim): with so few steps, weights must not have to grow first
    // Weights that write to the residual stream start smaller, by the number of
    // additions to it (Radford et al. 2019): a choice for small models.
    residual_std:: self.init_std / std.sqrt(2 * self.n_layers),
  },
  train+: {
    micro_batch: 4,
    accum: 1,
    steps: 1800,
    save_every: 300,
    eval: { every: 450, batches: 56 },  // all of the held-out text
    sample: {
      every: 900,
      count: 10,
      tokens: 480,  // with the prompt they fit in the context
      prompt: '// String returns the name of the file.\nfunc (f *File) String() string {\n',
      temperature: 0.4,
      top_p: 0.9,
    },
  },
  optim+: { lr: 2e-3 },
  schedule+: { warmup: 90 },
  data+: {
    sources: [
      { name: 'go_source', share: 0.88, kind: 'go_source', paths: ['$GOROOT/src'], exclude: ['*_test.go'] },
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
  tokenizer+: { kind: 'bpe', bos: true },
}
