// Package generated holds the compiler's output for the shipped specs, to be
// read, reviewed and tested. Each folder is one package; go generate makes
// them anew and a test keeps them fresh.
package generated

//go:generate go run ../internal/generate/run
