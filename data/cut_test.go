package data

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestShardCut cuts a shard under its reader, mapped and not: what is read
// afterwards is an error with the shard's name, and the process lives.
func TestShardCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(20, 21))
	ts := &testSet{vocab: 300, bos: 298, eos: 299, sources: []testSource{{name: "a", share: 1, train: randomDocs(rng, 400, 400, 298)}}}
	for _, mapped := range []bool{true, false} {
		dir := t.TempDir()
		ts.write(t, dir)
		path := filepath.Join(dir, "a-00000.0.tok")
		s, err := openShard(path, mapped)
		must(t, err)
		defer s.Close()
		// A page is left, so that what faults lies behind it.
		if s.Size() < 64<<10 {
			t.Fatalf("the shard has %d bytes", s.Size())
		}
		must(t, os.Truncate(path, 5000))
		wanted := func(what string, err error) {
			t.Helper()
			var e *Error
			if !errors.As(err, &e) || !strings.HasPrefix(e.Error(), path+": offset ") {
				t.Errorf("mapped %v: %s: %v", mapped, what, err)
			}
		}
		wanted("Verify", s.Verify())
		_, err = s.Doc(s.Docs - 1)
		wanted("Doc", err)
		func() {
			defer func() {
				err, _ := recover().(error)
				wanted("Read", err)
			}()
			s.Read(s.Tokens-100, make([]int32, 100))
		}()
	}
}

// TestShardRemoved reads on from a shard whose name has gone.
func TestShardRemoved(t *testing.T) {
	_, path := smallSet(t)
	s, err := OpenShard(path)
	must(t, err)
	defer s.Close()
	must(t, os.Remove(path))
	must(t, s.Verify())
}
