//go:build race

package data

// The race detector allocates on its own account.
const raceEnabled = true
