package cpu

// modelTasks are the tasks of attention, norms, elementwise kernels and losses.
type modelTasks struct{}

func (t *modelTasks) init(workers int) {}
