package cpu

// gemmTasks are the tasks of matrix products and of the optimiser.
type gemmTasks struct{}

func (t *gemmTasks) init(workers int) {}
