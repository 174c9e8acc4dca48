// Package fuzz makes random models and holds the compiler to the interpreter
// with them.
//
// A random model is a well-typed module of primitive ops: graphs.go builds one
// op by op, specs.go writes random blocks of a spec's nodes. Check compiles it
// and compares, at every station of the pipeline, what it computes: the
// interpreter after each pass, package exec on the plan under several
// checkpoint policies and under a budget with poisoned memory, in shuffled order
// of nodes and in 16 bits, and the decoder against whole sequences. Run checks
// ranges of seeds and makes what fails smaller; Case.Format writes it down,
// Bisect names the pass to blame, and testdata holds the cases of bugs that are
// mended.
//
// docs/testing.md tells how to use all this.
//
// Everything random is drawn from Choices, so that a model is a list of small
// numbers and a smaller model is a smaller list.
package fuzz
