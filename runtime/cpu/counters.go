package cpu

// Counters returns what Stats counts, by name, and sets it to zero.
func (d *Device) Counters() map[string]int64 {
	// By names, since the contract of a model (runtime/model) knows no kernels.
	s := d.Stats()
	return map[string]int64{
		"launches":         s.Launches,
		"gemms":            s.GEMMs,
		"gemm_flops":       s.GEMMFLOPs,
		"attention_blocks": s.AttentionBlocks,
	}
}
