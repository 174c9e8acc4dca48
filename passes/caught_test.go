package passes_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
)

// TestCaught: a crash is caught however it was wrapped on its way, an error is
// an error, and other panics go on.
func TestCaught(t *testing.T) {
	run := func(pass, observer func() error) (crash *passes.Crash, other any, err error) {
		defer func() { other = recover() }()
		u := &passes.Unit{Module: &ir.Module{Name: "empty"}}
		u.Config.Observe = func(passes.Report) {
			if err := observer(); err != nil {
				panic(err)
			}
		}
		crash, err = passes.Caught(u, []passes.Pass{{Name: "planted", Run: func(*passes.Unit) error { return pass() }}})
		return crash, nil, err
	}
	none := func() error { return nil }
	sad := errors.New("sad")
	if crash, other, err := run(func() error { panic("mad") }, none); crash == nil || crash.Pass != "planted" || err != nil || other != nil {
		t.Errorf("a crash: %v, %v, %v", crash, err, other)
	}
	inner := &passes.Crash{Pass: "inner"}
	if crash, other, err := run(none, func() error { return fmt.Errorf("observed: %w", inner) }); crash != inner || err != nil || other != nil {
		t.Errorf("a wrapped crash: %v, %v, %v", crash, err, other)
	}
	if crash, other, err := run(func() error { return sad }, none); crash != nil || err != sad || other != nil {
		t.Errorf("an error: %v, %v, %v", crash, err, other)
	}
	if crash, other, err := run(none, func() error { return sad }); crash != nil || err != nil || other != sad {
		t.Errorf("another panic: %v, %v, %v", crash, err, other)
	}
}
