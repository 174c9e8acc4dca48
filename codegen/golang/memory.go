package golang

import "github.com/llamac/llamac/plan"

// memory lists the fields of model.Memory with what the plan says.
//
// The generated binary checks them against the machine before it allocates
// anything.
func memory(p *plan.Plan) []any {
	var saved int64
	// What one layer stores, without padding between blocks.
	if q := p.Program("micro_step"); q != nil {
		saved = q.Stored()
	}
	var kv int64
	block := int64(0)
	// Of all layers and states together; one size of block is common to all.
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
