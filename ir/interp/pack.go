package interp

// A pack is several linear layers with one input: nothing is packed here, each
// is computed by itself.
var packKernels = map[string]kernel{
	// Operands are x and the weights [out_i, in]; result i is [.., out_i].
	"linear_pack": pure(func(c *call) {
		for i, w := range c.in[1:] {
			linear(c.out[i], c.in[0], w)
		}
	}),
	// The gradients of x from all members are added up, starting from acc if
	// there is one: x is read by each.
	"linear_pack_grad_x": pure(func(c *call) {
		if c.has(0) {
			copy(c.out[0].F, c.in[0].F)
		}
		// Operands are acc, then every dy, then every w.
		k := (len(c.in) - 1) / 2
		for i := range k {
			linearGradX(c.out[0], c.in[1+i], c.in[1+k+i])
		}
	}),
	// Operands are x and every dy. The kernel computes all members in one
	// product over packed columns; row for row that is the same.
	"linear_pack_grad_w": pure(func(c *call) {
		for i, dy := range c.in[1:] {
			linearGradW(c.out[i], dy, c.in[0])
		}
	}),
}
