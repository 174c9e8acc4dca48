package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// InputsFile lists the files that a set was made from, one a line: the SHA-256
// of the file as stored, its size, its source and its quoted name. A run keeps a
// copy, to say which files changed when its text is no longer there.
const InputsFile = "inputs.txt"

// Input is a file that a set was made from.
type Input struct {
	Source string
	Name   string // below the fixed part of its pattern
	Size   int64  // bytes as stored
	SHA256 string // of those bytes, in hexadecimal
}

// EncodeInputs is the list as InputsFile has it.
func EncodeInputs(list []Input) []byte {
	var b bytes.Buffer
	for _, in := range list {
		fmt.Fprintf(&b, "%s %d %s %q\n", in.SHA256, in.Size, in.Source, in.Name)
	}
	return b.Bytes()
}

// ReadInputs reads the list in a set's or a run's folder. The error wraps
// fs.ErrNotExist where there is none.
func ReadInputs(dir string) ([]Input, error) {
	path := filepath.Join(dir, InputsFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []Input
	at := int64(0)
	for line := range strings.Lines(string(b)) {
		in, err := parseInput(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, &Error{File: path, Offset: at, Msg: "not a line of a list of inputs", Err: err}
		}
		list = append(list, in)
		at += int64(len(line))
	}
	return list, nil
}

func parseInput(line string) (in Input, err error) {
	f := strings.SplitN(line, " ", 4)
	if len(f) < 4 {
		return in, fmt.Errorf("%d fields, want 4", len(f))
	}
	if sum, err := hex.DecodeString(f[0]); err != nil || len(sum) != sha256.Size {
		return in, errors.New("the first field is no SHA-256")
	}
	in.SHA256, in.Source = f[0], f[2]
	if in.Size, err = strconv.ParseInt(f[1], 10, 64); err != nil {
		return in, err
	}
	in.Name, err = strconv.Unquote(f[3])
	return in, err
}

// checkInputs compares the list in the set's folder with what the manifest says
// of it.
func (s *Set) checkInputs() error {
	path := filepath.Join(s.Dir, InputsFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && s.Manifest.Inputs == "" {
		return nil
	}
	if err != nil {
		return err
	}
	if got := sumText(sha256.Sum256(b)); got != s.Manifest.Inputs {
		return fileErr(path, 0, "checksum is %s, the manifest says %s", short(got), short(s.Manifest.Inputs))
	}
	return nil
}

// InputChange is how one list of inputs differs from another.
type InputChange struct {
	Changed, Added, Gone []string // names, with the source in front where there are several
}

// CompareInputs tells how the files of a set differ from those of an earlier
// one.
func CompareInputs(before, now []Input) InputChange {
	many := map[string]bool{}
	for _, list := range [][]Input{before, now} {
		for _, in := range list {
			many[in.Source] = true
		}
	}
	name := func(in Input) string {
		if len(many) > 1 {
			return in.Source + ": " + in.Name
		}
		return in.Name
	}
	var c InputChange
	// Two files of a source may have one name, below different folders.
	left := map[string][]string{}
	for _, in := range before {
		left[name(in)] = append(left[name(in)], in.SHA256)
	}
	var unknown []Input
	for _, in := range now {
		sums := left[name(in)]
		if i := slices.Index(sums, in.SHA256); i >= 0 {
			left[name(in)] = slices.Delete(sums, i, i+1)
		} else {
			unknown = append(unknown, in)
		}
	}
	for _, in := range unknown {
		if n := name(in); len(left[n]) > 0 {
			left[n] = left[n][1:]
			c.Changed = append(c.Changed, n)
		} else {
			c.Added = append(c.Added, n)
		}
	}
	for _, in := range before {
		if n := name(in); len(left[n]) > 0 {
			left[n] = left[n][1:]
			c.Gone = append(c.Gone, n)
		}
	}
	return c
}

// None reports whether nothing changed.
func (c InputChange) None() bool { return len(c.Changed)+len(c.Added)+len(c.Gone) == 0 }

// String names some of the files and counts all of them.
func (c InputChange) String() string {
	var parts []string
	for _, p := range []struct {
		names     []string
		one, more string
	}{{c.Changed, "1 file changed", "files changed"}, {c.Added, "1 was added", "were added"}, {c.Gone, "1 is gone", "are gone"}} {
		const shown = 3
		names := strings.Join(p.names[:min(shown, len(p.names))], ", ")
		switch n := len(p.names); {
		case n == 1:
			parts = append(parts, fmt.Sprintf("%s (%s)", p.one, names))
		case n > shown:
			parts = append(parts, fmt.Sprintf("%d %s (%s and %d more)", n, p.more, names, n-shown))
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s (%s)", n, p.more, names))
		}
	}
	if parts == nil {
		return "nothing changed"
	}
	return strings.Join(parts, ", ")
}
