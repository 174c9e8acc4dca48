// Names of the LLaMA block's weights in other formats. N is the layer's number.
// In a tied model `output` is what files call a copy of the embedding that they have
// as output projection. Names only: Hugging Face also keeps the rows of wq and wk in
// another order, which model.rope.layout tells.
local perLayer(format, table) = {
  ['layers.N.' + w]: std.strReplace(format, '*', table[w])
  for w in std.objectFields(table)
};

{
  // Hugging Face transformers: LlamaForCausalLM, and Qwen2's biases.
  hf: {
    tok_embeddings: 'model.embed_tokens.weight',
    norm: 'model.norm.weight',
    output: 'lm_head.weight',
  } + perLayer('model.layers.N.*', {
    attention_norm: 'input_layernorm.weight',
    'attention.wq': 'self_attn.q_proj.weight',
    'attention.wk': 'self_attn.k_proj.weight',
    'attention.wv': 'self_attn.v_proj.weight',
    'attention.wo': 'self_attn.o_proj.weight',
    'attention.bq': 'self_attn.q_proj.bias',
    'attention.bk': 'self_attn.k_proj.bias',
    'attention.bv': 'self_attn.v_proj.bias',
    ffn_norm: 'post_attention_layernorm.weight',
    'feed_forward.w1': 'mlp.gate_proj.weight',
    'feed_forward.w2': 'mlp.down_proj.weight',
    'feed_forward.w3': 'mlp.up_proj.weight',
  }),

  // llama.cpp's GGUF.
  gguf: {
    tok_embeddings: 'token_embd.weight',
    norm: 'output_norm.weight',
    output: 'output.weight',
  } + perLayer('blk.N.*', {
    attention_norm: 'attn_norm.weight',
    'attention.wq': 'attn_q.weight',
    'attention.wk': 'attn_k.weight',
    'attention.wv': 'attn_v.weight',
    'attention.wo': 'attn_output.weight',
    'attention.bq': 'attn_q.bias',
    'attention.bk': 'attn_k.bias',
    'attention.bv': 'attn_v.bias',
    ffn_norm: 'ffn_norm.weight',
    'feed_forward.w1': 'ffn_gate.weight',
    'feed_forward.w2': 'ffn_down.weight',
    'feed_forward.w3': 'ffn_up.weight',
  }),

  // Meta's consolidated.NN.pth; its models have no biases.
  meta: {
    tok_embeddings: 'tok_embeddings.weight',
    norm: 'norm.weight',
    output: 'output.weight',
  } + perLayer('layers.N.*.weight', {
    [w]: w
    for w in [
      'attention_norm',
      'attention.wq',
      'attention.wk',
      'attention.wv',
      'attention.wo',
      'ffn_norm',
      'feed_forward.w1',
      'feed_forward.w2',
      'feed_forward.w3',
    ]
  }),
}
