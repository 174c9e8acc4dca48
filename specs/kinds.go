package specs

// Kind describes one kind of node: what a constructor of
// lib/node.libsonnet makes and ir/build lowers to primitives.
type Kind struct {
	Name string
	// Inputs are the constructor's names for the values that a node reads.
	Inputs []string
	// Required and Optional list the fields beside kind, name and inputs,
	// in the order of the constructor's parameters.
	Required, Optional []string
	Doc                string
}

// Kinds are the kinds of nodes, in groups. Shapes: B sequences, T positions,
// S positions looked at, H heads, d channels of a head, D channels.
var Kinds = []Kind{
	// Weights.
	{"embedding", in("x"), in("weight", "out"), in("std"), "rows of the weight [vocab, out] picked by ids: [B, T] to [B, T, out]"},
	{"linear", in("x"), in("weight", "out"), in("bias", "std", "shard"), "x·Wᵀ, plus bias if named: [.., D] to [.., out], weight [out, D]"},
	{"rms_norm", in("x"), in("weight", "value"), nil, "x / sqrt(mean(x²) + value) · weight along the last axis (Zhang and Sennrich 2019)"},
	{"layer_norm", in("x"), in("weight", "value"), in("bias"), "(x - mean) / sqrt(variance + value) · weight, plus bias if named, along the last axis (Ba et al. 2016)"},

	// Attention.
	{"split_heads", in("x"), in("heads"), nil, "[B, T, heads·d] to [B, heads, T, d]"},
	{"merge_heads", in("x"), nil, nil, "[B, H, T, d] to [B, T, H·d]"},
	{"rope", in("x"), nil, nil, "rotates pairs of channels of [B, H, T, d] by angles of their position, as model.rope says (Su et al. 2021)"},
	{"repeat_kv", in("x"), in("heads"), nil, "repeats each head `heads` times: [B, H, T, d] to [B, H·heads, T, d] (Ainslie et al. 2023)"},
	{"matmul", in("a", "b"), nil, nil, "a·b over the last two axes"},
	{"matmul_nt", in("a", "b"), nil, nil, "a·bᵀ over the last two axes"},
	{"causal_mask", in("x"), nil, nil, "scores [.., T, S] with -inf where the key comes after the query"},
	{"window_mask", in("x"), in("value"), nil, "scores [.., T, S] with -inf where the key lies `value` or more positions before the query"},
	{"softmax", in("x"), nil, nil, "softmax along the last axis"},

	// Arithmetic, element by element.
	{"scale", in("x"), in("value"), nil, "x · value"},
	{"add_scalar", in("x"), in("value"), nil, "x + value"},
	{"pow", in("x"), in("value"), nil, "x to the power of value"},
	{"add", in("a", "b"), nil, nil, "a + b"},
	{"sub", in("a", "b"), nil, nil, "a - b"},
	{"mul", in("a", "b"), nil, nil, "a · b"},
	{"div", in("a", "b"), nil, nil, "a / b"},
	{"silu", in("x"), nil, nil, "x · sigmoid(x)"},
	{"gelu", in("x"), nil, nil, "x · Φ(x), Φ the normal distribution, by erf (Hendrycks and Gimpel 2016)"},
	{"gelu_tanh", in("x"), nil, nil, "gelu by its tanh approximation, as in GPT-2"},
	{"sigmoid", in("x"), nil, nil, "1 / (1 + exp(-x))"},
	{"softplus", in("x"), nil, nil, "log(1 + exp(x))"},
	{"relu", in("x"), nil, nil, "max(x, 0)"},
	{"tanh", in("x"), nil, nil, "tanh(x)"},
	{"exp", in("x"), nil, nil, "exp(x)"},
	{"square", in("x"), nil, nil, "x²"},
	{"sqrt", in("x"), nil, nil, "√x"},
	{"rsqrt", in("x"), nil, nil, "1/√x"},
	{"neg", in("x"), nil, nil, "-x"},

	// Structure.
	{"repeat", in("x"), in("layers", "body"), nil, "runs body `layers` times, each with weights of its own; body reads x, and its last node is the next x"},
}

func in(names ...string) []string { return names }

// KindOf returns the row of a kind, or nil.
func KindOf(name string) *Kind {
	for i := range Kinds {
		if Kinds[i].Name == name {
			return &Kinds[i]
		}
	}
	return nil
}
