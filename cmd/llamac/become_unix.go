//go:build unix

package main

import (
	"fmt"
	"syscall"

	"github.com/llamac/llamac/internal/gobuild"
)

// become replaces this process by a program. There is one process then, which
// every signal reaches: one that kills llamac leaves no orphan behind that
// goes on training.
// It returns only if the program cannot be started.
func become(bin string, args, env []string) error {
	gobuild.KeepUses()
	return fmt.Errorf("%s: %w", bin, syscall.Exec(bin, append([]string{bin}, args...), env))
}
