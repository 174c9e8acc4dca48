//go:build slow

package main

import "testing"

func TestSlowHostileFlags(t *testing.T) {
	hostile(t, 1)
}
