//go:build !unix

package main

import (
	"os"
	"os/exec"
	"os/signal"
)

// become runs a program in the place of this process. An interrupt reaches it
// through the console; here it must not end llamac first.
// The exit status is passed on by errChild.
func become(bin string, args, env []string) error {
	c := exec.Command(bin, args...)
	c.Stdin, c.Stdout, c.Stderr, c.Env = os.Stdin, os.Stdout, os.Stderr, env
	signal.Ignore(os.Interrupt)
	defer signal.Reset(os.Interrupt)
	err := c.Run()
	if c.ProcessState != nil && !c.ProcessState.Success() {
		return errChild{err, c.ProcessState.ExitCode()}
	}
	return err
}
