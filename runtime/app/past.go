package app

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llamac/llamac/data"
	"github.com/llamac/llamac/weights"
)

// This file looks at the folder of a run before anything is changed there: what
// past it holds, and what of it is not the run's.

// openRun takes the run's folder and settles flags and its past. It tells
// whether there is a past to go on from.
func (s *session) openRun() (resumed bool, err error) {
	if err := s.checkFolder(); err != nil {
		return false, err
	}
	before, err := s.dir.seen()
	if err != nil {
		return false, err
	}
	resumed, none, err := s.judge()
	if err != nil {
		return false, err
	}
	// The folder is locked before anything in it is changed.
	if err := s.dir.open(); err != nil {
		return false, err
	}
	// Who held the lock a moment ago has trained here: its work is the past now.
	now, err := s.dir.seen()
	if err == nil && now != before {
		resumed, none, err = s.judge()
	}
	if err != nil {
		return false, err
	}
	// Killed before its first checkpoint: --resume in a script should start
	// such a run and not fail.
	if s.flags.resume && none {
		if s.flags.skip.Step > 0 {
			return false, usagef("--skip-step=%d: %s holds no checkpoint to go on from", s.flags.skip.Step, s.dir.path)
		}
		s.report.note(fmt.Sprintf("%s holds no checkpoint: starting at step 0", s.dir.path))
		return false, nil
	}
	return resumed, nil
}

// judge holds the call to what is in the folder, and changes nothing there. It
// tells whether there is a past, and whether that lacks a checkpoint.
func (s *session) judge() (resumed, none bool, err error) {
	s.changed, s.adopted, s.rebuilt, s.rekept, s.remeasured = nil, false, false, false, false
	steps, err := s.dir.checkpoints()
	if err != nil {
		return false, false, err
	}
	if len(steps) == 0 {
		if err := s.checkOrphans(); err != nil {
			return false, false, err
		}
	}
	// A folder with steps in it is somebody's work, and starting anew would
	// remove it.
	if !s.flags.resume && len(steps) > 0 && steps[0] > 0 {
		return false, false, usagef("%s: already holds a run at step %s; add --resume to go on with it, or name another folder with --run",
			s.dir.path, thousands(int64(steps[0])))
	}
	if len(steps) > 0 && !s.flags.resume {
		if c, err := weights.ReadCheckpointState(s.dir.checkpointPath(0)); err != nil || c.Name != s.info.Name {
			return false, false, usagef("%s: is no checkpoint of %s, and starting here would remove it; name another folder with --run", s.dir.checkpointPath(0), s.info.Name)
		}
	}
	var old settings
	if s.flags.resume {
		if old, resumed, err = s.dir.readSettings(); err != nil {
			return false, false, err
		}
		if !resumed && len(steps) > 0 {
			if old, err = s.rebuild(steps); err != nil {
				return false, false, err
			}
			resumed = true
		}
	}
	s.was = old
	if s.set, err = s.settle(s.flags, old, resumed); err != nil {
		return false, false, err
	}
	if resumed && len(steps) > 0 {
		if err := s.compareInit(old); err != nil {
			return false, false, err
		}
		if err := s.compareRecipe(old); err != nil {
			return false, false, err
		}
		s.compareMachine(old)
	}
	return resumed, len(steps) == 0, nil
}

// checkFolder refuses a folder that cannot be a run's, or not the one meant.
func (s *session) checkFolder() error {
	st, err := os.Stat(s.dir.path)
	switch {
	case err == nil && !st.IsDir():
		return usagef("--run=%s: is a file, not a folder", s.dir.path)
	case err == nil || !os.IsNotExist(err) || !s.flags.resume || !s.flags.given["run"]:
		return nil
	}
	msg := fmt.Sprintf("--run=%s: there is no such folder to resume", s.dir.path)
	// The neighbours with checkpoints, nearest names first.
	var near []string
	entries, _ := os.ReadDir(filepath.Dir(s.dir.path)) // without hints if it cannot be read
	for _, e := range entries {
		other := &runDir{path: filepath.Join(filepath.Dir(s.dir.path), e.Name())}
		if steps, err := other.checkpoints(); err == nil && len(steps) > 0 {
			near = append(near, other.path)
		}
	}
	name := filepath.Base(s.dir.path)
	slices.SortStableFunc(near, func(a, b string) int {
		return cmp.Compare(shared(filepath.Base(b), name), shared(filepath.Base(a), name))
	})
	if len(near) > 0 {
		msg += "; runs are in " + strings.Join(near[:min(len(near), 4)], ", ")
	}
	return usagef("%s; leave --resume out to start a run there", msg)
}

// shared counts the letters that two names have in common from either end.
func shared(a, b string) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	for m := 0; m < min(len(a), len(b))-n && a[len(a)-1-m] == b[len(b)-1-m]; m++ {
		n++
	}
	return n
}

// checkOrphans refuses a folder that holds the log or the samples of a run whose
// checkpoints are gone: starting there would write over them.
func (s *session) checkOrphans() error {
	for _, pattern := range []string{"metrics.jsonl", filepath.Join(sampleDir, "step-*")} {
		found, _ := filepath.Glob(filepath.Join(globQuote(s.dir.path), pattern))
		for _, f := range found {
			if st, err := os.Stat(f); err == nil && st.Size() > 0 {
				return usagef("%s: holds %s of a run and no checkpoint of it: name another folder with --run, or move these files away",
					s.dir.path, filepath.Base(f))
			}
		}
	}
	return s.checkForeign()
}

// checkForeign refuses a folder without a run that holds files of the names which
// a run would write.
func (s *session) checkForeign() error {
	path := s.dir.join(settingsFile)
	switch _, found, err := s.dir.readSettings(); {
	case found && err == nil, err != nil && s.flags.resume:
		return nil // did not come to its first checkpoint and may begin again, or the reader says what is wrong
	case err != nil:
		return usagef("%s: is not of a run of llamac and would be replaced: name another folder with --run", path)
	}
	for _, pattern := range []string{"loss.svg", data.InputsFile, "tokenizer.model", "tokenizer.json", "tokenizer.bin", "tokenizer.gguf"} {
		if path := s.dir.join(pattern); exists(path) {
			return usagef("%s: is not of a run of llamac and could be replaced: name another folder with --run", path)
		}
	}
	return nil
}

// globQuote takes the meaning from letters that patterns have one for.
func globQuote(path string) string {
	if filepath.Separator == '\\' {
		return path // where a backslash quotes nothing
	}
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
