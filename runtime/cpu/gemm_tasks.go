package cpu

// gemmTasks are the tasks of matrix products and of the optimiser.
type gemmTasks struct {
	naive   naiveGemm
	adamw   adamwTask
	squares squaresTask
}

func (t *gemmTasks) init(workers int) {}
