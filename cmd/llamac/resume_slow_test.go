//go:build slow

package main

import "testing"

func TestSlowKillAndResume(t *testing.T) {
	killAndResume(t, 600, 20)
}
