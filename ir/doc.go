// Package ir is llamac's intermediate representation: a module of weights,
// state and functions over tensors whose dimensions may be symbols.
//
// A model's layers appear once, as a function that a stack applies a number of
// times, so a module grows with the number of different layers and never with
// their count. Everything the compiler knows of an operation stands in one row
// of one table (Ops): printer, parser, verifier, interpreter, cost model,
// differentiation and documentation read the row.
//
// The text form prints and parses to the same bytes:
//
//	func @layer(%x: f32[B, T, 64], %cos: f32[T, 4], %sin: f32[T, 4]) -> (%out) {
//	  %attn.n = rms_norm(%x, $attention_norm) {eps = 1e-05} : f32[B, T, 64]
//	  ...
//	}
//
// %name is a value of the function, $name a weight and !name state. The
// package knows no target, no runtime and no spec.
package ir

//go:generate go test . -run TestDoc -update
