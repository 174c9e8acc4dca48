package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/llamac/llamac/data"
)

// sameText makes sure that a run that goes on reads the sequences that it would
// have read. It tells which files changed, from the list that the run has kept,
// since the text itself may be gone.
func (s *session) sameText(before settings) error {
	now := s.feed.Identity()
	if before.DataHash == "" || before.DataHash == now {
		return nil
	}
	what := fmt.Sprintf("its files are the same, and its options, shares, tokenizer or context are not (hash %.12s, began with %.12s)", now, before.DataHash)
	old, err := data.ReadInputs(s.dir.path)
	if err == nil {
		list, err := data.ReadInputs(s.set.Data)
		if c := data.CompareInputs(old, list); err == nil && !c.None() {
			what = c.String()
		}
	} else if errors.Is(err, fs.ErrNotExist) {
		what = fmt.Sprintf("hash %.12s, began with %.12s", now, before.DataHash)
	}
	if s.flags.acceptChanges {
		s.report.note(fmt.Sprintf("the data set is not the one that the run began with: %s; going on with it, as --accept-changes says", what))
		return nil
	}
	args := append(s.runArg(), "--resume")
	ways := fmt.Sprintf("%s goes on with the text as it is now", s.callAs("train", append(args, "--accept-changes")...))
	if before.Data != s.set.Data {
		if _, err := os.Stat(filepath.Join(before.Data, data.ManifestFile)); err == nil {
			ways = fmt.Sprintf("%s goes on with the text as it was, ", s.callAs("train", append(args, "--data", before.Data)...)) + ways
		}
	}
	return fmt.Errorf("%s: the data set is not the one that the run in %s began with: %s; %s, and another --run starts anew", s.set.Data, s.dir.path, what, ways)
}

// keepInputs keeps the list of the files that the run's text was made from.
func (s *session) keepInputs() error {
	b, err := os.ReadFile(filepath.Join(s.set.Data, data.InputsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not made from files
	}
	if err != nil {
		return err
	}
	return s.dir.writeBytes(s.dir.join(data.InputsFile), b)
}
