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
//
// Numbers are compared in three ways, each as strict as it can be:
//
//   - bit for bit, where the same kernels work on the same numbers: gradients under
//     every checkpoint policy, a step done again, a module compiled twice;
//   - in float64, before and behind each pass: only the order of sums may differ, so
//     ten digits or so have to agree (allowed64);
//   - float32 against float64, for a plan that was run: within a multiple of what
//     random changes of the size of rounding do to this very model (newReference).
//     A case whose numbers are beyond such a comparison is counted as wild.
//
// An error of the compiler that is known to be right for some graphs is a Refusal, by
// a phrase in its text. Anything else that goes wrong is a failure.
//
// What is to be added, and where:
//
//   - an op: a piece in the table of scope.step, in ops.go, with arguments on which
//     it is tame; if float32 does not round its result, its name in exact;
//   - a way to write something that a fusion takes: package spelling, which the tests
//     of package passes draw from too;
//   - a kind of node: specs.go, in elementwise or in a piece of its own;
//   - a pass: nothing, for pipelines are run as they are.
//
// A new piece changes what each seed means. Cases that must last are in testdata, as
// modules and not as seeds.
package fuzz
