package passes

// Precision gives values the dtype that the run computes in. The CPU computes
// in f32, which is how specs lower; a target with narrower kernels narrows
// here, keeping logsumexp, norms' statistics and losses in f32.
var Precision = Pass{
	Name: "precision", Doc: "Gives values the dtype that the target computes in.",
	Run: func(*Unit) error { return nil }, Required: true,
}
