// llama2.c's 15M model (karpathy/tinyllamas, stories15M): the paper's
// vocabulary, tied embeddings. The sizes are those of its file; the recipe is
// chosen.
local llama = import 'llamac/llama.libsonnet';

llama {
  name: 'stories15m',
  doc: 'A LLaMA of 15 million parameters for TinyStories, as llama2.c has it.',
  model+: {
    dim: 288,
    n_layers: 6,
    n_heads: 6,
    ffn_dim: 768,
    vocab: 32000,
    context: 256,
    norm_eps: 1e-5,
    tie: true,
    // As llama2.c starts the weights that write to the residual stream.
    residual_std:: self.init_std / std.sqrt(2 * self.n_layers),
  },
  train+: { micro_batch: 16, accum: 8, steps: 100000 },
  optim+: { lr: 5e-4 },
  schedule+: { warmup: 1000 },
  data+: {
    sources: [{ name: 'tinystories', share: 1, kind: 'files', paths: ['data/tinystories/**/*.txt'] }],
  },
  tokenizer+: { kind: 'file', path: 'tokenizer.model' },
}
