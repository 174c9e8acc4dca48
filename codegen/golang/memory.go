package golang

import "github.com/llamac/llamac/plan"

// memory lists the fields of model.Memory with what the plan says.
func memory(p *plan.Plan) []any {
	var saved int64
	if q := p.Program("micro_step"); q != nil {
		saved = q.Stored()
	}
	var kv int64
	block := int64(0)
	for _, s := range p.State {
		kv += s.Bytes * int64(max(1, s.Layers))
		block = s.Dims[3].N
	}
	n := p.Sizes()
	return []any{
		"Weights", p.Arena("weights"), "Grads", p.Arena("grads"), "Moments", p.Arena("moment1") + p.Arena("moment2"),
		"TrainActivations", p.Arena("act.train"), "SavedPerLayer", saved,
		"DecodeActivations", p.Arena("act.infer"), "KVCache", kv,
		"KVBlock", block, "KVBlocks", n["blocks"], "Prefill", n["N"], "MaxSequences", n["S"],
	}
}
