package app

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// brokenStep is a step whose numbers are not finite. The same step from the same
// state comes to the same end, so going on needs something else to be different.
type brokenStep struct {
	step int // that broke the state, or would have
	error
}

func (b *brokenStep) Unwrap() error { return b.error }

// failed adds what is safe to an error that stops the run, and what may be done.
func (s *session) failed(err error) error {
	if sc, ok := s.report.(*screen); ok {
		sc.leave()
		// The bar leaves its line, or the error would stand behind it.
	}
	if s.saved == "" {
		return err
	}
	resume := func(before, after []string) string {
		return s.callAs("train", slices.Concat(before, s.runArg(), []string{"--resume"}, after)...)
	}
	var b *brokenStep
	if !errors.As(err, &b) {
		return errors.Join(err, fmt.Errorf("the last good checkpoint is %s; %s goes on from it", s.saved, resume(nil, nil)))
	}
	var t strings.Builder
	fmt.Fprintf(&t, "the last good checkpoint is %s. From there the same step would come to the same end; another one comes of", s.saved)
	lower := "optim.lr=" + strconv.FormatFloat(s.recipe.LR/2, 'g', 3, 64)
	if s.getenv("LLAMAC_SPEC") != "" {
		fmt.Fprintf(&t, "\n  a lower learning rate: %s", resume([]string{"--set", lower}, []string{"--accept-changes"}))
	} else {
		fmt.Fprintf(&t, "\n  a lower learning rate: build the program with --set %s, then %s", lower, resume(nil, []string{"--accept-changes"}))
	}
	if b.step > s.step || b.step > s.stepSaved() {
		arg := strconv.Itoa(b.step)
		if n := s.skipped(b.step-1, b.step); n > 0 {
			arg += fmt.Sprintf(":%d", n+1)
		}
		fmt.Fprintf(&t, "\n  other text in its place: %s", resume(nil, []string{"--skip-step", arg}))
	}
	if steps, e := s.dir.checkpoints(); e == nil && len(steps) > 1 {
		fmt.Fprintf(&t, "\n  an earlier state, with either of these: move the newer files out of %s first", s.dir.join(checkpointDir))
	}
	return errors.Join(err, errors.New(t.String()))
}

// stepSaved is the step of the newest checkpoint, -1 for none.
func (s *session) stepSaved() int {
	steps, err := s.dir.checkpoints()
	if err != nil || len(steps) == 0 {
		return -1
	}
	return steps[0]
}

// keeps tells whether a checkpoint stays; rank counts the newer ones.
func (s *session) keeps(step, rank int) bool {
	r := s.info.Recipe
	return rank < max(r.KeepLast, 1) || step > 0 && due(step, r.KeepEvery) || r.KeepBest && step == s.best || step < s.known || step <= s.set.KeptUntil && s.set.KeptUntil > 0
}
