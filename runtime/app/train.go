package app

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/llamac/llamac/data"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/schedule"
	"github.com/llamac/llamac/tokenizer"
	"github.com/llamac/llamac/weights"
)

// session is one process's part of a training run.
//
// Step n, counted from 1, reads the training sequences
// [(n-1)·Accum·MicroBatch, n·Accum·MicroBatch), uses the learning rate LR(n)
// and ends with the files that its number calls for. All of it is a function
// of the settings and of the state after step n-1, which is what a checkpoint
// holds: so a run that is cut anywhere and resumed is the run that never was.
type session struct {
	*env
	flags   trainFlags
	set     settings
	was     settings     // of the run that goes on
	recipe  model.Recipe // with the flags taken in
	rate    schedule.Cosine
	dir     *runDir
	report  reporter
	feed    feed
	tok     tokenizer.Tokenizer
	content string  // the tokenizer's file, which every checkpoint holds
	ends    []int32 // ids that end a text, which every checkpoint holds as well
	trainer model.Trainer
	samples *generator // nil when samples are not wanted or do not fit
	log     *metrics
	stop    *stopper

	// The request is asked for once a step and kept here, so that the
	// checkpoint and the loop's end agree about it.
	stopping bool // the step that was last is the last one of this process
	step     int  // steps done
	sampling bool
	// Judged against memory as it was before the run took any, since a sample's
	// decoder comes on top of the trainer.
	have      limit // memory before anything was allocated
	haveKnown bool
	peakFLOPS float64 // of the machine
	// Where this process began: a function of it, and of the skips, is what each
	// step reads.
	origin      int   // step
	originSeq   int64 // number of the first sequence behind it
	originToken int64 // tokens trained on until then
	known       int   // of checkpoints before this step nobody knows why they stay
	changed     []change
	adopted     bool // a spec that differs is in force from now on
	rekept      bool // its train.keep differs
	remeasured  bool // validation losses are no longer comparable with earlier ones
	rebuilt     bool // run.json was not there
	in          batches
	inNext      int64 // number of the next sequence that in reads

	began time.Time
	// Tokens and seconds decay by the same factor at every step: their quotient
	// is a mean over about the last ten steps, and a long step counts by its
	// length.
	beganAt int     // step
	seconds float64 // and
	paced   float64 // tokens of the last steps, decaying: their ratio is a smooth pace
	bestVal float64
	best    int // step of it, 0 for none
	lastVal *record
	drawnAt time.Time // when loss.svg was drawn
	saved   string    // newest checkpoint
	val     evaluation
}

// train runs the command of that name.
func (e *env) train(args []string) error {
	f, err := e.trainFlags(args)
	if err != nil {
		return err
	}
	if e.info.NewTrainer == nil {
		return fmt.Errorf("%s was compiled without training (--mode train)", e.info.Name)
	}
	s := &session{env: e, flags: f, dir: &runDir{path: f.run, create: e.create, fast: e.fast}, bestVal: math.Inf(1)}
	if f.json {
		s.report = &jsonReport{w: e.stdout}
	} else {
		s.report = e.newScreen()
	}
	// Before anything is allocated: a run that does not fit should say so in
	// its first second, with what would help.
	s.have, s.haveKnown = e.memory()
	if err := e.checkMemory("train", e.trainNeeds(), "a smaller train.micro_batch or checkpoint.policy 'full' needs less"); err != nil {
		return err
	}
	// Whether samples fit is decided now, and the decoder made later.
	s.judgeSamples()
	defer s.close()
	if err := s.prepare(); err != nil {
		return err
	}
	// From here on Ctrl-C asks for a checkpoint instead of ending the process.
	s.stop = listen(s.report, e.now)
	defer s.stop.end()
	return s.loop()
}

// close lets go of what prepare opened, however far it came.
// Everything may be nil: prepare may have failed anywhere.
func (s *session) close() {
	if s.samples != nil {
		s.samples.close()
	}
	if s.trainer != nil {
		s.trainer.Close()
	}
	if s.feed != nil {
		s.feed.Close()
	}
	if s.log != nil {
		s.log.close()
	}
	// Last, so that no other process enters the folder while files of this one
	// are still open.
	s.dir.close()
}

// prepare opens everything and brings the state to where the run starts.
func (s *session) prepare() error {
	resumed, err := s.openRun()
	if err != nil {
		return err
	}
	v, err := s.chooseTokenizer(resumed)
	if err != nil {
		return err
	}
	s.tok, s.ends = v.tok, v.ends
	// Read once: the file may be exchanged while the run goes on.
	content, err := v.content()
	if err != nil {
		return err
	}
	s.content = string(content)
	if s.feed, err = s.open(s.set.Data, s.set); err != nil {
		return err
	}
	if h := s.set.TokenizerHash; resumed && h != "" && h != s.tok.Hash() {
		return fmt.Errorf("the tokenizer (hash %.12s) is not the one that the run in %s began with (hash %.12s): its ids mean other text", s.tok.Hash(), s.dir.path, h)
	}
	s.set.TokenizerHash = s.tok.Hash()
	// Ids mean nothing under another tokenizer, and nothing else would notice:
	// the loss would merely be bad.
	if h := s.feed.Tokenizer(); h != s.tok.Hash() {
		return fmt.Errorf("%s: the data set was made with another tokenizer (hash %.12s, this one %.12s)", s.set.Data, h, s.tok.Hash())
	}
	// The same step must read the same sequences as it would have.
	if resumed {
		if err := s.sameText(s.was); err != nil {
			return err
		}
		if s.set.DataHash != "" && s.feed.Identity() != s.set.DataHash {
			s.changed = append(s.changed, change{Path: "data", Old: s.set.DataHash, New: s.feed.Identity()})
			s.remeasured = true
		}
	}
	s.set.DataHash = s.feed.Identity()
	// The trainer's arenas are the bulk of the run's memory. They come after
	// everything that may be refused.
	if s.trainer, err = s.info.NewTrainer(model.Options{Workers: s.flags.workers}); err != nil {
		return err
	}
	if resumed {
		err = s.restore()
	} else {
		err = s.begin()
	}
	if err != nil {
		return err
	}
	s.adopt()
	s.introduce()
	for _, w := range s.feed.Warnings(s.sequences(s.recipe.Steps)) {
		fmt.Fprintln(s.stderr, "warning: "+w)
	}
	if err := s.openSamples(); err != nil {
		return err
	}
	// Step 0 is a checkpoint as well: a run that is killed before its first one
	// can be resumed.
	if s.step == 0 && s.saved == "" { // also shows, before hours of work, that the disk takes a checkpoint
		return s.checkpoint()
	}
	return nil
}

// begin starts a run from random weights, or from those of a file.
func (s *session) begin() error {
	// Whatever an earlier attempt left has nothing to do with this run.
	if err := s.dir.clean(-1); err != nil {
		return err
	}
	// Before the others: it says whose they are.
	s.set.Tokenizer = tokenizerName(s.content)
	if err := s.dir.writeSettings(s.set); err != nil {
		return err
	}
	if err := s.dir.keepTokenizer(s.content); err != nil {
		return err
	}
	if err := s.keepInputs(); err != nil {
		return err
	}
	// Random weights first; a file, if one is given, replaces all of them.
	weights.Init(s.info, s.set.Seed, s.trainer.Params(), s.flags.workers)
	if s.set.Init != "" {
		if err := s.load(s.set.Init, s.trainer.Params(), s.remarks(!s.flags.json)); err != nil {
			return err
		}
	}
	var err error
	s.log, err = openMetrics(s.dir.join("metrics.jsonl"), 0)
	return err
}

// restore reads the newest checkpoint that verifies.
func (s *session) restore() error {
	// Parameters and both moments: without the moments the first steps would be
	// those of another optimiser.
	m, v := s.trainer.Moments()
	c, found, err := s.dir.newest(
		func(path string) (weights.Checkpoint, error) {
			return weights.ReadCheckpoint(path, s.info, s.trainer.Params(), m, v)
		},
		func(damaged error) { s.report.note(damaged.Error() + "; trying the one before") })
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%s: the checkpoint has gone", s.dir.path)
	}
	// Both are derived from what the run was told; if they differ from what the
	// checkpoint says, the next step would not be the one that was due.
	if c.Seed != s.set.Seed || s.straight() && c.Sequences != s.sequences(c.Step) {
		return fmt.Errorf("%s: the checkpoint (seed %d, next sequence %d) contradicts %s (seed %d) and the recipe (next sequence %d)",
			s.dir.checkpointPath(c.Step), c.Seed, c.Sequences, settingsFile, s.set.Seed, s.sequences(c.Step))
	}
	if s.set.Steps < c.Step {
		return usagef("--steps=%d: the run in %s has taken %s already", s.set.Steps, s.dir.path, thousands(int64(c.Step)))
	}
	s.step, s.saved = c.Step, s.dir.checkpointPath(c.Step)
	s.origin, s.originSeq, s.originToken = c.Step, c.Sequences, c.Sequences*int64(s.info.Context)
	if err := s.record(c.Step); err != nil {
		return err
	}
	// More steps, or fewer, are allowed. They change the learning rate of what
	// is to come, which should not pass unsaid.
	if c.Steps != s.set.Steps {
		s.report.note(fmt.Sprintf("the run was to take %s steps and now takes %s: the learning rate of the coming steps changes with it",
			thousands(int64(c.Steps)), thousands(int64(s.set.Steps))))
		if err := s.dir.writeSettings(s.set); err != nil {
			return err
		}
	}
	// From here on the run is one of the changed text.
	if s.set.DataHash != s.was.DataHash {
		if err := s.keepInputs(); err != nil {
			return err
		}
		if err := s.dir.writeSettings(s.set); err != nil {
			return err
		}
	}
	if s.rebuilt {
		// What lies there under its names may be somebody's.
		s.set.Tokenizer = tokenizerName(s.content)
		if path := s.dir.tokenizerPath(s.set); path != "" {
			b, err := os.ReadFile(path)
			if err == nil && string(b) != s.content {
				return usagef("%s: is not the tokenizer that the checkpoints hold, and would be replaced: move it away", path)
			}
		}
		if err := s.dir.keepTokenizer(s.content); err != nil {
			return err
		}
		if !exists(s.dir.join(data.InputsFile)) {
			if err := s.keepInputs(); err != nil {
				return err
			}
		}
		if err := s.dir.writeSettings(s.set); err != nil {
			return err
		}
	}
	// Later files belong to steps that will be taken again.
	if err := s.dir.clean(c.Step); err != nil {
		return err
	}
	if s.log, err = openMetrics(s.dir.join("metrics.jsonl"), c.Step); err != nil {
		return err
	}
	// The best loss so far, and the newest, come from the log.
	for i := range s.log.history {
		s.noteVal(&s.log.history[i])
	}
	s.known = c.Step
	if h := s.log.history; len(h) > 0 {
		s.known = h[0].Step - 1
		if last := h[len(h)-1]; last.Step == c.Step {
			s.originToken = last.Tokens
		}
	}
	return nil
}

// adopt makes the recipe of this run.
func (s *session) adopt() {
	r := s.info.Recipe
	// A decay that ended with the run ends with the run's new length.
	if r.DecaySteps == 0 || r.DecaySteps == r.Steps {
		r.DecaySteps = s.set.Steps
	}
	r.Steps, r.Seed = s.set.Steps, s.set.Seed
	s.recipe = r
	s.rate = schedule.Cosine{Peak: r.LR, MinRatio: r.MinRatio, Warmup: r.Warmup, Decay: r.DecaySteps}
}

// perStep is how many sequences a step trains on.
func (s *session) perStep() int64 {
	// The data set is cut by the recipe as compiled, which flags do not change.
	r := s.info.Recipe
	return int64(r.Accum) * int64(r.MicroBatch)
}

// sequences is the number of the first training sequence after a step, which
// this process has not begun behind.
func (s *session) sequences(step int) int64 {
	return s.originSeq + int64(step-s.origin)*s.perStep() + s.skipped(s.origin, step)*s.perStep()
}

// first is the number of the first training sequence of a step.
func (s *session) first(step int) int64 { return s.sequences(step) - s.perStep() }

// stepTokens is how many tokens a step trains on.
func (s *session) stepTokens() int64 { return s.perStep() * int64(s.info.Context) }

// tokens is how many tokens the run has trained on after a step.
func (s *session) tokens(step int) int64 {
	return s.originToken + int64(step-s.origin)*s.stepTokens()
}

// next reads a micro-batch, the first of a step from where that begins.
func (s *session) next(step, micro int) (model.Batch, error) {
	if at := s.first(step); micro == 0 && (s.in == nil || s.inNext != at) {
		if s.in != nil {
			s.in.Close()
		}
		s.in, s.inNext = s.feed.Batches(at, s.recipe.MicroBatch), at
	}
	s.inNext += int64(s.recipe.MicroBatch)
	return s.in.Next()
}

// loop takes the steps that are left.
func (s *session) loop() error {
	s.began, s.beganAt = s.now(), s.step
	defer func() {
		if s.in != nil {
			s.in.Close()
		}
	}()
	s.stopping = s.stop.asked()
	for s.step < s.recipe.Steps && !s.stopping {
		if err := s.oneStep(); err != nil {
			return s.failed(err)
		}
	}
	// No step was taken: the last process may have been killed between its
	// checkpoint and this picture.
	if s.step == s.beganAt { // a run that ended between its last checkpoint and the curve that follows it
		if err := s.draw(true); err != nil {
			return err
		}
	}
	return s.finish()
}

// oneStep trains one step and does what is due after it. Its order matters:
// what a step writes is on the disk before the checkpoint that says it is done.
func (s *session) oneStep() error {
	r, n := s.recipe, s.step+1
	start := s.now()
	loss := 0.0
	// Micro-batches are averaged: losses here, gradients by GradScale in the
	// update.
	for a := range r.Accum {
		s.report.phase("training", a, r.Accum)
		batch, err := s.next(n, a)
		if err != nil {
			return err
		}
		// The first of a step overwrites the gradients.
		l := float64(s.trainer.MicroStep(batch, a == 0))
		// Before the update: the weights are still those of the last step.
		if !finite(l) {
			return s.diagnose(n, fmt.Sprintf("the loss is %v", l), a)
		}
		loss += l / float64(r.Accum)
	}
	rec := record{Step: n, Tokens: s.tokens(n), Loss: loss, LR: s.rate.LR(n)}
	rec.GradNorm = s.trainer.Update(model.Hyper{Step: n, LR: rec.LR, Beta1: r.Beta1, Beta2: r.Beta2, Eps: r.Eps,
		WeightDecay: r.WeightDecay, Clip: r.Clip, GradScale: 1 / float64(r.Accum)})
	if !finite(rec.GradNorm) {
		return s.diagnose(n, fmt.Sprintf("the gradient's norm is %v", rec.GradNorm), -1)
	}
	// Without evaluation and samples, which come behind: this is the speed of
	// training.
	rec.Seconds = s.now().Sub(start).Seconds()
	if rec.Seconds > 0 {
		rec.TokensPerS = float64(s.stepTokens()) / rec.Seconds
	}
	// Of the machine's measured peak: see PeakFLOPS. 0 means that it is not
	// known.
	if s.peakFLOPS > 0 {
		rec.MFU = rec.TokensPerS * s.info.FLOPsPerToken / s.peakFLOPS
		// The machine was slower then than it can be.
		if rec.MFU > 1 {
			s.report.note(fmt.Sprintf("no MFU from here on: step %s did %s, more than the %s that were measured as the peak at the start",
				thousands(int64(n)), flops(rec.MFU*s.peakFLOPS), flops(s.peakFLOPS)))
			rec.MFU, s.peakFLOPS = 0, 0
		}
	}
	// The last step is evaluated and saved in any case, and sampled if any is.
	last := n == r.Steps
	best := false
	if due(n, r.EvalEvery) || last {
		if err := s.evaluate(&rec); err != nil {
			return err
		}
		best = rec.ValLoss != nil && *rec.ValLoss < s.bestVal
	}
	// Written before the step counts as done.
	if err := s.log.add(rec); err != nil {
		return err
	}
	s.step = n
	s.noteVal(s.log.last())
	s.seconds = 0.9*s.seconds + rec.Seconds
	s.paced = 0.9*s.paced + float64(s.stepTokens())
	s.report.step(progress{record: rec, steps: r.Steps, pace: s.paced / max(s.seconds, 1e-9), left: s.left(), first: s.log.history[0].Loss, lastVal: s.lastVal, best: best})
	if s.samples != nil && r.SampleEvery > 0 && (due(n, r.SampleEvery) || last) {
		if err := s.writeSamples(); err != nil {
			return err
		}
	}
	// Asked once: a request that comes after the checkpoint waits for the next
	// step, so that no step is left without one.
	s.stopping = s.stop.asked()
	if due(n, r.SaveEvery) || due(n, r.KeepEvery) || best && r.KeepBest || last || s.stopping {
		if err := s.checkpoint(); err != nil {
			return err
		}
	}
	// A curve of a running run may be some seconds old.
	return s.draw(last || s.stopping || rec.ValLoss != nil)
}

// due tells whether something that happens every so many steps happens now.
func due(step, every int) bool { return every > 0 && step%every == 0 }

// finite is false for NaN and infinities: both give NaN here.
func finite(x float64) bool { return x-x == 0 }

// noteVal remembers the newest and the best evaluation.
func (s *session) noteVal(r *record) {
	if r.ValLoss != nil {
		s.lastVal = r
		// What was measured otherwise is not to be compared with.
		if *r.ValLoss < s.bestVal && (r.Step > s.set.MeasuredFrom || s.set.MeasuredFrom == 0) {
			s.bestVal, s.best = *r.ValLoss, r.Step
		}
	}
}

// left estimates the time until the last step from this process's own pace,
// evaluations and all.
func (s *session) left() time.Duration {
	// An exact mean over this process is steadier than the pace of the last
	// steps, and includes what happens now and then.
	done := s.step - s.beganAt
	if done == 0 {
		return 0
	}
	return time.Duration(float64(s.now().Sub(s.began)) / float64(done) * float64(s.recipe.Steps-s.step))
}

// checkpoint writes the state after the current step.
func (s *session) checkpoint() error {
	s.report.phase("saving", 0, 1)
	// The log reaches the disk first: a checkpoint must not know of steps that
	// the log has lost.
	if err := s.log.sync(); err != nil {
		return err
	}
	m, v := s.trainer.Moments()
	if err := weights.CheckFinite("the state after this step", s.info, s.trainer.Params(), m, v); err != nil {
		return &brokenStep{s.step, fmt.Errorf("step %d: nothing is saved: %w", s.step, err)}
	}
	c := weights.Checkpoint{Name: s.info.Name, SpecHash: s.info.SpecHash, Spec: s.info.SpecJSON, Version: s.info.Version, Step: s.step, Steps: s.recipe.Steps,
		Sequences: s.sequences(s.step), Seed: s.recipe.Seed, Data: s.feed.Identity(), Tokenizer: s.tok.Hash(), Ends: tokenizer.FormatEnds(s.ends), Vocabulary: s.content}
	path, err := s.dir.save(s.step, s.keeps, func(f outFile) error {
		// Beside its place and renamed, like every file of a run.
		return weights.WriteCheckpoint(f, s.info, c, s.trainer.Params(), m, v)
	})
	if err != nil {
		return err
	}
	s.saved = path
	s.report.saved(s.step, path)
	return nil
}

// draw redraws the loss curve, when asked to or when the last is old.
func (s *session) draw(now bool) error {
	// Drawing takes longer the longer the run is.
	const old = 15 * time.Second
	if len(s.log.history) == 0 || !now && s.now().Sub(s.drawnAt) < old {
		return nil
	}
	s.drawnAt = s.now()
	sub := fmt.Sprintf("%s parameters · step %s of %s · %s tokens", count(s.info.Params), thousands(int64(s.step)), thousands(int64(s.recipe.Steps)), count(s.log.last().Tokens))
	if v := s.lastVal; v != nil && v.BitsPerByte != nil {
		sub += fmt.Sprintf(" · %.4f bits per byte", *v.BitsPerByte)
	}
	return s.dir.writeBytes(s.dir.join("loss.svg"), lossCurve(s.info.Name, sub, s.recipe.Steps, s.log.history))
}

// finish says how the run ended and what to do next.
func (s *session) finish() error {
	sum := summary{finished: s.step >= s.recipe.Steps, step: s.step, steps: s.recipe.Steps, tokens: s.tokens(s.step),
		took: s.now().Sub(s.began), lastVal: s.lastVal, checkpoint: s.saved}
	if len(s.log.history) > 0 {
		sum.last, sum.curve = s.log.last(), s.dir.join("loss.svg")
	}
	if sum.finished {
		// The commands that are suggested leave out what is default, so that
		// they can be typed.
		args := s.runArg()
		if p := oneLine(s.recipe.SamplePrompt); p != "" {
			args = append(args, "--prompt", p)
		}
		sum.next = s.callAs("generate", args...)
	} else {
		sum.next = s.callAs("train", append(s.runArg(), "--resume")...)
	}
	if s.best > 0 && s.best != s.step {
		if path := s.dir.checkpointPath(s.best); exists(path) {
			sum.best = fmt.Sprintf("%s, validation %.4f", path, s.bestVal)
		}
	}
	if sum.finished && s.beganAt == s.step {
		s.report.note(fmt.Sprintf("all %s steps were done already; %s goes on", thousands(int64(s.step)),
			s.callAs("train", append(s.runArg(), "--resume", "--steps", strconv.Itoa(2*s.step))...)))
	}
	s.report.done(sum)
	if sig := s.stop.signal(); sig != 0 && !sum.finished {
		return errSignal(sig)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// oneLine is a prompt's last line that holds anything: a command with a line
// break inside is hard to copy and, in some shells, to type.
func oneLine(prompt string) string {
	lines := strings.Split(strings.TrimRight(prompt, " \t\r\n"), "\n")
	return strings.TrimRight(lines[len(lines)-1], "\r")
}

// runArg names the run's folder unless that is where the commands look anyway.
func (s *session) runArg() []string {
	if s.flags.run == filepath.Join("runs", s.info.Name) {
		return nil
	}
	return []string{"--run", s.flags.run}
}

// diagnose names the node whose result is the first that is not finite. micro
// is the number of the micro-batch, -1 when the step's sum went wrong.
func (s *session) diagnose(step int, what string, micro int) error {
	// Weights that are broken already break every batch: the step before did it.
	m, v := s.trainer.Moments()
	if err := weights.CheckFinite("the state before this step", s.info, s.trainer.Params(), m, v); err != nil {
		return &brokenStep{step - 1, fmt.Errorf("step %d: %s: %w", step, what, err)}
	}
	// A watch looks at every result of every kernel, so it is only set now.
	s.report.phase("looking for the node", 0, 1)
	first, last := micro, micro
	if micro < 0 {
		first, last = 0, s.recipe.Accum-1
	}
	// The batches are read again: they are a function of the step's number.
	in := s.feed.Batches(s.first(step)+int64(first*s.recipe.MicroBatch), s.recipe.MicroBatch)
	defer in.Close()
	for a := first; a <= last; a++ {
		batch, err := in.Next()
		if err != nil {
			return err
		}
		if node := s.trainer.Diagnose(batch); node != "" {
			return &brokenStep{step, fmt.Errorf("step %d: %s: the first result that is not finite is that of %s (micro-batch %d of %d)",
				step, what, node, a+1, s.recipe.Accum)}
		}
		// Each micro-batch alone is fine, and their sum is not.
	}
	return &brokenStep{step, fmt.Errorf("step %d: %s, though every node's result is finite: the sum over the micro-batches overflows", step, what)}
}
