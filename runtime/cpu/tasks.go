package cpu

// tasks holds one task value per kernel, reused at every launch.
type tasks struct {
	gemm  gemmTasks
	model modelTasks
}

// They are made with the device, before the first launch.
func (t *tasks) init(workers int) {
	t.gemm.init(workers)
	t.model.init(workers)
}
