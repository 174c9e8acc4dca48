// A small LLaMA for text of your own. Paths are meant from this file's folder.
// Fields that are not here have defaults: llamac's llama.libsonnet lists them.
local llama = import 'llamac/llama.libsonnet';

llama {
  name: 'my',
  doc: 'A small LLaMA that learns from my text.',

  // 3 million parameters; context is in tokens, and here a token is a byte.
  model+: { dim: 256, n_layers: 4, n_heads: 8, ffn_dim: 704, vocab: 256, context: 256 },
  tokenizer+: { kind: 'byte', bos: false },
  // With more than a few megabytes of text a learned vocabulary does better:
  // vocab: 2048 above, and
  //   tokenizer+: { kind: 'bpe', bos: true },

  data+: {
    // files: whole files are documents. jsonl: lines are, with the text in a
    // field. Shares of several sources sum to 1.
    sources: [{ name: 'text', share: 1, kind: 'files', paths: ['corpus/**/*.txt'] }],
    validation: 0.05,  // held out, for the validation loss
  },

  // A step sees micro_batch x context tokens.
  train+: {
    micro_batch: 8,
    steps: 1000,
    save_every: 250,
    eval: { every: 100, batches: 8 },
    sample: { every: 500, count: 2, tokens: 256, prompt: '', temperature: 0.8, top_p: 0.95 },
  },
  optim+: { lr: 1e-3 },
  schedule+: { warmup: 50 },
}
