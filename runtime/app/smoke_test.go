package app

import (
	"bytes"
	"testing"
)

func TestSmoke(t *testing.T) {
	var out, errs bytes.Buffer
	e := newEnv(fakeInfo())
	e.stdout, e.stderr, e.open = &out, &errs, openFake
	status := e.run([]string{"train", "--data", "x", "--run", t.TempDir()})
	t.Logf("status %d\n%s\n%s", status, out.String(), errs.String())
}
