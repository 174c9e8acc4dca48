//go:build slow

package fuzz

import "testing"

// TestSlowRandom checks more models than TestRandom, from other seeds.
func TestSlowRandom(t *testing.T) {
	for _, k := range Kinds {
		n := map[string]int{"graph": 10000, "spec": 2000}[k.Name]
		t.Run(k.Name, func(t *testing.T) { checkCases(t, k, 1_000_000_000, n) })
	}
}

// TestSlowGenerated compiles more models than TestGenerated.
func TestSlowGenerated(t *testing.T) {
	checkGenerated(t, 1000, map[string]int{"graph": 60, "spec": 40})
}
