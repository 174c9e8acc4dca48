package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/llamac/llamac/runtime/cpu"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/weights"
)

// change is a field of the recipe that a run has gone on with another value of,
// as run.json records it.
type change struct {
	Step int    `json:"step"` // done under the old value
	Path string `json:"path"`
	Old  string `json:"old"` // in JSON
	New  string `json:"new"`
}

// skip says that a step passes over batches: over so many steps' sequences.
type skip struct {
	Step  int `json:"step"`
	Times int `json:"times"`
}

// parseSkip reads the argument of --skip-step, N or N:TIMES.
func parseSkip(arg string) (skip, error) {
	n, times, several := strings.Cut(arg, ":")
	k := skip{Times: 1}
	var err error
	if k.Step, err = strconv.Atoi(n); err == nil && several {
		k.Times, err = strconv.Atoi(times)
	}
	if err != nil || k.Step < 1 || k.Times < 1 {
		return k, usagef("--skip-step=%s: want the number of a step, and after a colon how many batches it passes over if more than one", arg)
	}
	return k, nil
}

// skipped counts the steps' worth of sequences that steps (from, to] pass over.
func (s *session) skipped(from, to int) (n int64) {
	for _, k := range s.set.Skips {
		if k.Step > from && k.Step <= to {
			n += int64(k.Times)
		}
	}
	return n
}

// compareRecipe holds the program's spec to the one that the run goes by so far:
// what changes the steps to come is refused, or noted where that is meant.
func (s *session) compareRecipe(old settings) error {
	if old.SpecHash == s.info.SpecHash {
		return nil
	}
	if len(old.SpecJSON) == 0 || s.info.SpecJSON == "" {
		// The checkpoint says so, with its name.
		return nil
	}
	changes, err := model.Changes(string(old.SpecJSON), s.info.SpecJSON)
	if err != nil {
		return fmt.Errorf("%s: %w", s.dir.join(settingsFile), err)
	}
	// The flag says how many, whatever the spec does.
	changes = slices.DeleteFunc(model.OfClass(changes, model.RecipeField), func(c model.Change) bool {
		return c.Path == "train.steps" && s.flags.given["steps"]
	})
	for _, c := range changes {
		if c.Path == "train.seed" {
			return usagef("train.seed: the run in %s has seed %s, and %s says %s: another seed is another run; --set %s goes on with this one",
				s.dir.path, c.Old, s.info.SpecFile, c.New, c.Set())
		}
	}
	if len(changes) > 0 && !s.flags.acceptChanges {
		var b strings.Builder
		fmt.Fprintf(&b, "%s: the run goes by another recipe than %s:", s.dir.path, s.info.SpecFile)
		var back []string
		for _, c := range changes {
			fmt.Fprintf(&b, "\n\t%s", c)
			if c.Old != "" && !strings.Contains(c.Path, "[") {
				back = append(back, "--set", c.Set())
			}
		}
		fmt.Fprintf(&b, "\n%s goes on with the new values", s.callAs("train", append(s.runArg(), "--resume", "--accept-changes")...))
		if len(back) == 2*len(changes) && s.getenv("LLAMAC_SPEC") != "" {
			fmt.Fprintf(&b, "\n%s with the old ones", s.callAs("train", append(back, append(s.runArg(), "--resume")...)...))
		}
		return usagef("%s", b.String())
	}
	for _, c := range changes {
		s.changed = append(s.changed, change{Path: c.Path, Old: c.Old, New: c.New})
		if c.Path == "train.steps" {
			s.set.Steps = s.info.Recipe.Steps
		}
	}
	// Also without a word: what may change freely is in force from now on.
	s.adopted = true
	// What another rule has kept is not removed by forgetting to repeat it.
	s.rekept = model.Differ(string(old.SpecJSON), s.info.SpecJSON, "train.keep")
	s.remeasured = model.Differ(string(old.SpecJSON), s.info.SpecJSON, "train.eval.batches") || slices.ContainsFunc(changes, func(c model.Change) bool {
		return c.Path == "train.micro_batch" || c.Path == "model.context" || strings.HasPrefix(c.Path, "data.")
	})
	return nil
}

// machineFields are changes of what computes: the same steps in other last bits.
var machineFields = []string{"llamac", "go", "isa"}

// compareMachine notes where the run goes on with other last bits than it would
// have had, which no error is.
func (s *session) compareMachine(old settings) {
	for i, v := range [][2]string{{old.Version, s.info.Version}, {old.Go, goVersion()}, {old.ISA, cpu.ISA()}} {
		if v[0] != "" && v[0] != v[1] {
			s.changed = append(s.changed, change{Path: machineFields[i], Old: strconv.Quote(v[0]), New: strconv.Quote(v[1])})
		}
	}
	s.set.Version, s.set.Go, s.set.ISA = s.info.Version, goVersion(), cpu.ISA()
}

// straight tells whether nothing has moved the text of a step since the run
// began.
func (s *session) straight() bool {
	moves := func(c change) bool { return !slices.Contains(machineFields, c.Path) }
	return !slices.ContainsFunc(s.set.Changes, moves) && !slices.ContainsFunc(s.changed, moves) && len(s.set.Skips) == 0 && !s.rebuilt
}

// compareInit refuses to go on from other weights than those of the run.
func (s *session) compareInit(old settings) error {
	if !s.flags.given["init"] || s.rebuilt {
		return nil
	}
	a, errA := filepath.Abs(s.flags.init)
	b, errB := filepath.Abs(old.Init)
	if errA == nil && errB == nil && old.Init != "" && a == b {
		return nil // a script's call, which starts the run and goes on with it
	}
	return usagef("--init=%s: the run in %s began with %s and goes on from its checkpoint; another --run starts from these weights",
		s.flags.init, s.dir.path, cmp.Or(old.Init, "random weights"))
}

// record takes what changes from a step on into the settings, and tells of it.
func (s *session) record(step int) error {
	write := s.adopted
	// The newest checkpoint may have been lost since: the steps behind it are
	// taken again, under what holds now.
	for i := range s.set.Changes {
		if c := &s.set.Changes[i]; c.Step > step {
			c.Step, write = step, true
		}
	}
	for _, c := range s.changed {
		c.Step = step
		s.set.Changes, write = append(s.set.Changes, c), true
		if c.Path == "data" {
			continue // which has been told, with the names of its files
		}
		s.report.note(fmt.Sprintf("from step %s on %s is %s instead of %s", thousands(int64(step+1)), c.Path, cmp.Or(c.New, "not there"), cmp.Or(c.Old, "not there")))
	}
	for _, at := range []*int{&s.set.KeptUntil, &s.set.MeasuredFrom} {
		if *at > step {
			*at, write = step, true
		}
	}
	if s.rekept || s.remeasured {
		s.set.KeptUntil, write = step, true
	}
	if s.remeasured {
		s.set.MeasuredFrom = step
	}
	if s.adopted {
		s.set.SpecHash, s.set.SpecJSON, s.set.Set = s.info.SpecHash, rawSpec(s.info.SpecJSON), s.sets()
	}
	if k := s.flags.skip; k.Step > 0 {
		if k.Step <= step {
			return usagef("--skip-step=%d: the newest checkpoint is of step %d, which has read that batch", k.Step, step)
		}
		// Set and not added to: the same call again means the same.
		at := slices.IndexFunc(s.set.Skips, func(x skip) bool { return x.Step == k.Step })
		if at < 0 {
			s.set.Skips = append(s.set.Skips, k)
		} else {
			s.set.Skips[at] = k
		}
		write = true
		s.report.note(fmt.Sprintf("step %s passes over the data of %s", thousands(int64(k.Step)), plural(k.Times, "step")))
	}
	if !write {
		return nil
	}
	return s.dir.writeSettings(s.set)
}

// rebuild makes the settings of a run whose folder has checkpoints and no
// run.json, as where only the checkpoints were copied to another machine: the
// newest that verifies says what the run is.
func (s *session) rebuild(steps []int) (settings, error) {
	for _, n := range steps {
		path := s.dir.checkpointPath(n)
		if err := weights.VerifyCheckpoint(path); err != nil {
			s.report.note(err.Error() + "; trying the one before")
			continue
		}
		c, err := weights.ReadCheckpointState(path)
		if err != nil {
			return settings{}, err
		}
		s.rebuilt = true
		s.report.note(fmt.Sprintf("%s is not there: made anew from what %s says", s.dir.join(settingsFile), path))
		return settings{Format: settingsFormat, Name: c.Name, Spec: s.info.SpecFile, SpecHash: c.SpecHash, SpecJSON: rawSpec(c.Spec), Version: c.Version,
			Steps: c.Steps, Seed: c.Seed, DataHash: c.Data, TokenizerHash: c.Tokenizer}, nil
	}
	return settings{}, fmt.Errorf("%s: none of its %s verifies", s.dir.join(checkpointDir), plural(len(steps), "checkpoint"))
}

// rawSpec is a spec within run.json.
func rawSpec(spec string) json.RawMessage {
	if !json.Valid([]byte(spec)) {
		return nil
	}
	return json.RawMessage(spec)
}

// sets are the --set arguments of llamac, which passes them on in LLAMAC_SET.
func (e *env) sets() (list []string) {
	json.Unmarshal([]byte(e.getenv("LLAMAC_SET")), &list) // none if there are none
	return list
}
