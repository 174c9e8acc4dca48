package cpu

// gemmTasks are the tasks of matrix products and of the optimiser.
type gemmTasks struct {
	product gemmTask
	dot     dotTask
	adamw   adamwTask
	squares squaresTask
}

// Only what needs memory or knows the workers; other tasks are filled at every
// launch.
func (t *gemmTasks) init(workers int) {
	t.product.init(patienceFor(workers))
	t.dot.init()
}
