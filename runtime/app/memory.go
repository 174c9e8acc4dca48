package app

import (
	"fmt"
	"strings"
)

// limit is how much memory a process may still take, and what says so.
type limit struct {
	bytes int64
	by    string // "of this machine's memory", "under the cgroup limit /sys/fs/..."
}

// need is one part of a memory plan.
// The sizes are the compiler's, to the byte; what the process needs besides is
// small.
type need struct {
	what  string
	bytes int64
}

// trainNeeds lists what a training run allocates.
func (e *env) trainNeeds() []need {
	m := e.info.Memory
	return []need{{"weights", m.Weights}, {"gradients", m.Grads}, {"moments", m.Moments}, {"activations", m.TrainActivations}}
}

// decodeNeeds lists what writing text allocates. A decoder may share a
// trainer's weights, but need not.
func (e *env) decodeNeeds() []need {
	m := e.info.Memory
	return []need{{"weights", m.Weights}, {"activations", m.DecodeActivations}, {"KV cache", m.KVCache}}
}

// total adds up the parts of a plan.
func total(needs []need) int64 {
	t := int64(0)
	for _, n := range needs {
		t += n.bytes
	}
	return t
}

// checkMemory refuses a plan that does not fit, before anything is allocated:
// the system's own way to say so is to kill the process later.
func (e *env) checkMemory(to string, needs []need, hint string) error {
	have, ok := e.memory()
	if !ok || total(needs) <= have.bytes {
		return nil
	}
	var parts []string
	for _, n := range needs {
		parts = append(parts, n.what+" "+size(n.bytes))
	}
	msg := fmt.Sprintf("%s needs %s of memory to %s (%s), and %s is left %s",
		e.info.Name, size(total(needs)), to, strings.Join(parts, ", "), size(have.bytes), have.by)
	if hint != "" {
		msg += "; " + hint
	}
	return fmt.Errorf("%s", msg)
}
