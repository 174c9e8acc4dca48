// Package fuzz makes random models and holds the compiler to the interpreter
// with them.
//
// A random model is a well-typed module of primitive ops: graphs.go builds one
// op by op, specs.go writes random blocks of a spec's nodes. Check compiles it
// and compares, at every station of the pipeline, what it computes: the
// interpreter after each pass, package exec on the plan under every checkpoint
// policy and under a budget, with poisoned memory, in shuffled order of nodes,
// and the decoder against whole sequences. Shrink makes a failing model smaller while it still
// fails; Case.Format writes it down, and testdata holds those of bugs that are
// mended.
//
// Everything random is drawn from Choices, so that a model is a list of small
// numbers and a smaller model is a smaller list.
package fuzz
