package fuzz

import (
	"errors"
	"strings"
	"testing"
)

// FuzzGraph lets go test -fuzz choose: each byte is a decision of the
// generator, so that what it finds to reach new code it finds by small changes
// of models.
func FuzzGraph(f *testing.F) { fuzzKind(f, Kinds[0]) }

// FuzzSpec is FuzzGraph for random specs.
func FuzzSpec(f *testing.F) { fuzzKind(f, Kinds[1]) }

func fuzzKind(f *testing.F, k Kind) {
	for seed := range uint64(30) {
		c := Random(seed)
		k.Make(c)
		var bytes []byte
		for _, n := range c.Made {
			bytes = append(bytes, byte(n))
		}
		f.Add(bytes)
	}
	c := NewChecker()
	f.Cleanup(c.Device.Close)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1000 {
			return
		}
		var made []int
		for _, b := range data {
			made = append(made, int(b))
		}
		if err := c.made(k, Given(made)); err != nil {
			first := err
			small := Shrink(made, 2000, func(made []int) bool {
				err := c.made(k, Given(made))
				return err != nil && likeness(err) == likeness(first)
			})
			t.Fatalf("%v\nas a case:\n%s", firstLine(first), k.Make(Given(small)).Format(strings.SplitN(first.Error(), "\n", 2)[0]))
		}
	})
}

// TestShrink: a failure that needs two of many decisions is made so small that
// only those are left.
func TestShrink(t *testing.T) {
	c := Random(3)
	for range 200 {
		c.N(10)
	}
	c.Made[40], c.Made[120] = 7, 9
	small := Shrink(c.Made, 3000, func(made []int) bool {
		sevens, nines := 0, 0
		for _, x := range made {
			if x >= 7 {
				sevens++
			}
			if x == 9 {
				nines++
			}
		}
		return sevens >= 2 && nines >= 1
	})
	if len(small) != 2 || small[0]+small[1] != 16 {
		t.Errorf("left are %v", small)
	}
}

// TestMinimise plants a bug in a pass: the case that is written is small, fails
// in the same way when it is read back, and its message names the file.
func TestMinimise(t *testing.T) {
	dir := t.TempDir()
	broken := func() *Checker {
		k := NewChecker()
		k.Train = insert(k.Train, "cleanup", breakTanh)
		return k
	}
	r := Run{Kind: Kinds[0], From: 1, N: 200, Workers: 1, MaxFailures: 1, Dir: dir, New: broken}.Do()
	if len(r.Failures) != 1 {
		t.Fatalf("%d failures: %v", len(r.Failures), r.Counts)
	}
	f := r.Failures[0]
	if nodes := strings.Count(f.Small.Train.String(), " = "); nodes > 14 || !strings.Contains(f.String(), f.File) {
		t.Errorf("%d nodes are left: %s", nodes, f)
	}
	c, err := LoadCase(f.File)
	if err != nil {
		t.Fatal(err)
	}
	k := broken()
	defer k.Device.Close()
	if err := k.Check(c); err == nil || !strings.Contains(err.Error(), "after planted") {
		t.Errorf("the case read back gives %v", err)
	}
	found, err := k.Bisect(c)
	if err != nil || found == nil || found.Pass != "planted" {
		t.Errorf("found %v, %v", found, err)
	}
	mended := NewChecker()
	defer mended.Device.Close()
	if err := mended.Check(c); err != nil && !errors.Is(err, errWild) {
		t.Errorf("without the bug: %v", err)
	}
}
