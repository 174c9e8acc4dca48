package app

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/tokenizer"
	"github.com/llamac/llamac/weights"
)

// letters writes a tokenizer.json of single characters and returns its path. The
// bigram model's ids are bytes; here they stand for other characters.
func letters(t *testing.T, alphabet string, merges ...[2]string) string {
	t.Helper()
	vocab := map[string]int{"<unk>": 0, "<s>": 1}
	for _, c := range alphabet {
		vocab[string(c)] = len(vocab)
	}
	for _, m := range merges {
		vocab[m[0]+m[1]] = len(vocab)
	}
	control := func(id int, text string) map[string]any {
		return map[string]any{"id": id, "content": text, "special": true}
	}
	b, err := json.Marshal(map[string]any{
		"decoder":      map[string]any{"type": "Fuse"},
		"added_tokens": []any{control(0, "<unk>"), control(1, "<s>")},
		"model":        map[string]any{"type": "BPE", "unk_token": "<unk>", "vocab": vocab, "merges": append([][2]string{}, merges...)},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "letters.json")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// alphabet is of n characters from a first one on.
func alphabet(first rune, n int) string {
	var s strings.Builder
	for i := range n {
		s.WriteRune(first + rune(i))
	}
	return s.String()
}

// madeWith opens data that a tokenizer made.
func madeWith(t *testing.T, path string) func(*env) {
	tok, err := tokenizer.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return func(e *env) {
		e.open = func(dir string, s settings) (feed, error) {
			f, err := openFake(dir, s)
			return ofTokenizer{f, tok.Hash()}, err
		}
	}
}

type ofTokenizer struct {
	feed
	hash string
}

func (f ofTokenizer) Tokenizer() string { return f.hash }

// copied copies a file into a folder of its own, as to another machine.
func copied(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(to, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestCheckpointBringsItsTokenizer: one that was copied alone writes text, and
// other tokenizers are refused unless somebody insists.
func TestCheckpointBringsItsTokenizer(t *testing.T) {
	greek, cyrillic := letters(t, alphabet('α', 20)+alphabet('一', 180)), letters(t, alphabet('а', 20)+alphabet('一', 180))
	run := t.TempDir()
	train(t, run, madeWith(t, greek), "--tokenizer", greek).want(t, 0, "letters.json has 202 pieces, the model's vocabulary 256: the ids from 202 on")
	checkpoint := filepath.Join(run, "checkpoints", "step-00000040.safetensors")
	want, err := os.ReadFile(greek)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := weights.ReadCheckpointState(checkpoint); err != nil || c.Vocabulary != string(want) {
		t.Fatalf("%v: the checkpoint holds %q", err, c.Vocabulary)
	}
	if kept, err := os.ReadFile(filepath.Join(run, "tokenizer.json")); err != nil || string(kept) != string(want) {
		t.Errorf("the run's copy: %q, %v", kept, err)
	}
	alone := copied(t, checkpoint)
	text := func(args ...string) string {
		r := generate(t, nil, append(args, "--prompt", "α", "-n", "12", "--temperature", "2", "--top-p", "1", "--seed", "5")...)
		r.want(t, 0)
		return r.out
	}
	first := text("--run", run)
	// Every new token has text: the 54 ids without are never written.
	if utf8.RuneCountInString(first) != 13 || !strings.ContainsAny(first, alphabet('α', 20)) {
		t.Errorf("%q", first)
	}
	for _, args := range [][]string{{"--weights", alone}, {"--weights", run}, {"--weights", alone, "--tokenizer", greek},
		{"--run", run, "--tokenizer", greek}, {"--run", run, "--tokenizer", run}, {"--weights", alone, "--spec-tokenizer", greek},
		{"--weights", alone, "--spec-tokenizer", "/nowhere"}, {"--run", run, "--spec-tokenizer", cyrillic}} {
		if again := text(args...); again != first {
			t.Errorf("%v: %q, want %q", args, again, first)
		}
	}
	for _, from := range []string{"--run=" + run, "--weights=" + alone, "--weights=" + run} {
		generate(t, nil, from, "--tokenizer", cyrillic).want(t, 2, "--tokenizer="+cyrillic+": the weights belong to another tokenizer, the tokenizer in ",
			`id 2 is "α" there and "а" here`, "--accept-tokenizer")
		generate(t, nil, from, "--tokenizer", cyrillic, "--accept-tokenizer").want(t, 0, "warning: "+cyrillic+" is used for weights of another tokenizer")
	}
	generate(t, nil, "--weights", alone, "--spec-tokenizer", cyrillic).want(t, 2, "tokenizer.path of the spec, "+cyrillic, "--tokenizer "+alone+" takes theirs, --accept-tokenizer the spec's")
	generate(t, nil, "--weights", alone, "--spec-tokenizer", cyrillic, "--accept-tokenizer").want(t, 0, "warning: "+cyrillic)
	bytewise := func(e *env) { e.info.SpecJSON = `{"tokenizer": {"kind": "byte"}}` }
	generate(t, bytewise, "--weights", alone).want(t, 2, "tokenizer.kind byte of the spec: the weights belong to another tokenizer")
	generate(t, nil, "--weights", alone, "--tokenizer", letters(t, alphabet('α', 2))).want(t, 2, `"γ" `, "is in one of them alone")

	// Training on with them.
	train(t, t.TempDir(), madeWith(t, cyrillic), "--init", alone, "--tokenizer", cyrillic).want(t, 2, "--tokenizer="+cyrillic+": the weights belong to another")
	train(t, t.TempDir(), madeWith(t, cyrillic), "--init", run, "--tokenizer", cyrillic, "--accept-tokenizer").want(t, 0, "warning: "+cyrillic)
	train(t, t.TempDir(), bytewise, "--init", alone).want(t, 2, "tokenizer.kind byte of the spec: the weights belong to another")
	on := t.TempDir()
	train(t, on, madeWith(t, greek), "--init", alone).want(t, 0)
	if kept, err := os.ReadFile(filepath.Join(on, "tokenizer.json")); err != nil || string(kept) != string(want) {
		t.Errorf("what is trained on keeps %q, %v", kept, err)
	}
}

// TestRunKeepsItsTokenizer: going on, whatever happened to files or is named.
func TestRunKeepsItsTokenizer(t *testing.T) {
	greek, cyrillic := letters(t, alphabet('α', 20)), letters(t, alphabet('а', 20))
	run := t.TempDir()
	train(t, run, madeWith(t, greek), "--tokenizer", greek, "--steps", "3").want(t, 0)
	train(t, run, madeWith(t, greek), "--resume", "--steps", "4", "--tokenizer", cyrillic).want(t, 2,
		"--tokenizer="+cyrillic+": the run in "+run+" was trained with another tokenizer", "going on keeps it")
	copyOf := filepath.Join(run, "tokenizer.json")
	b, err := os.ReadFile(cyrillic)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copyOf, b, 0o666); err != nil {
		t.Fatal(err)
	}
	train(t, run, madeWith(t, greek), "--resume", "--steps", "4").want(t, 2, copyOf+": not the tokenizer that the checkpoints in ", `id 2 is "α" there`)
	generate(t, nil, "--run", run).want(t, 2, copyOf+": not the tokenizer that the checkpoints in ", "remove the file to use theirs")
	generate(t, nil, "--run", run, "--tokenizer", copyOf, "--accept-tokenizer").want(t, 0, "warning: ")
	if err := os.Remove(copyOf); err != nil {
		t.Fatal(err)
	}
	train(t, run, madeWith(t, greek), "--resume", "--steps", "4").want(t, 0)
	generate(t, nil, "--run", run, "--prompt", "αβ", "-n", "0").want(t, 0, "αβ")
}

// TestTokenizerOfOtherPrograms: what lies beside the weights of others is used and
// named, and what cannot be used is said with a way on.
func TestTokenizerOfOtherPrograms(t *testing.T) {
	greek, cyrillic := letters(t, alphabet('α', 20)), letters(t, alphabet('а', 20))
	_, checkpoint := trained(t)
	alone := copied(t, checkpoint)
	// Its metadata say that it is a checkpoint, which another program would drop.
	b, err := os.ReadFile(alone)
	if err != nil {
		t.Fatal(err)
	}
	foreign := func(info *model.Info) {
		for i := range info.Weights {
			info.Weights[i].HF = info.Weights[i].Name
		}
	}
	change := func(e *env) { foreign(&e.info); bindFake(&e.info) }
	dir := t.TempDir()
	path := filepath.Join(dir, "model.safetensors")
	if err := os.WriteFile(path, withoutMoments(t, b), 0o666); err != nil {
		t.Fatal(err)
	}
	generate(t, change, "--weights", path, "--prompt", "a", "-n", "1").want(t, 0)
	beside := filepath.Join(dir, "tokenizer.json")
	if err := os.WriteFile(beside, []byte("{}"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{path, dir} {
		generate(t, change, "--weights", w).want(t, 2, "--weights="+w+": its tokenizer cannot be used: "+beside, "--tokenizer FILE")
		generate(t, change, "--weights", w, "--tokenizer", greek, "--prompt", "α", "-n", "1").want(t, 0, "not compared with the weights' own tokenizer: "+beside)
	}
	g, err := os.ReadFile(greek)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(beside, g, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{path, dir} {
		generate(t, change, "--weights", w, "--prompt", "α", "-n", "0", "--stats").want(t, 0, "α", "tokenizer: "+beside)
		generate(t, change, "--weights", w, "--tokenizer", cyrillic).want(t, 2, "belong to another tokenizer, "+beside)
		generate(t, change, "--weights", w, "--spec-tokenizer", cyrillic).want(t, 2, "--tokenizer "+beside+" takes theirs")
	}
	// One that has more ids than the weights have rows is that of another file.
	const greekIDs = 22
	fewer := func(e *env) { foreign(&e.info); e.info.Vocab = greekIDs - 1; bindFake(&e.info) }
	small := letters(t, alphabet('а', 10))
	for _, flag := range []string{"--tokenizer", "--spec-tokenizer"} {
		generate(t, fewer, "--weights", dir, flag, small, "--prompt", "а", "-n", "0").want(t, 0, "warning: "+beside+" has 22 ids and the model's vocabulary 21: it is not taken for the tokenizer of the weights")
	}
}

// TestEndsOfText: what generation_config.json says ends a text, one id or several.
func TestEndsOfText(t *testing.T) {
	greek := letters(t, alphabet('α', 20))
	_, checkpoint := trained(t)
	b, err := os.ReadFile(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	g, err := os.ReadFile(greek)
	if err != nil {
		t.Fatal(err)
	}
	change := func(e *env) {
		for i := range e.info.Weights {
			e.info.Weights[i].HF = e.info.Weights[i].Name
		}
		bindFake(&e.info)
	}
	dir := t.TempDir()
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("model.safetensors", withoutMoments(t, b))
	write("tokenizer.json", g)
	text := func(args ...string) string {
		r := generate(t, change, append([]string{"--weights", dir, "--prompt", "αβ", "-n", "9", "--temperature", "0"}, args...)...)
		r.want(t, 0)
		return r.out
	}
	whole := []rune(text())
	if len(whole) != 11 {
		t.Fatalf("%q", string(whole))
	}
	tok, err := tokenizer.Open(greek)
	if err != nil {
		t.Fatal(err)
	}
	next := tok.Encode(nil, []byte(string(whole[2])))[0]
	clear := func() {
		for _, name := range []string{"generation_config.json", "config.json", "tokenizer_config.json", "special_tokens_map.json"} {
			os.Remove(filepath.Join(dir, name))
		}
	}
	piece := string(whole[2])
	for _, c := range []struct{ file, content string }{
		{"generation_config.json", fmt.Sprintf(`{"eos_token_id": %d}`, next)},
		{"generation_config.json", fmt.Sprintf(`{"eos_token_id": [-1, %d]}`, next)},
		{"config.json", fmt.Sprintf(`{"eos_token_id": %d}`, next)},
		{"tokenizer_config.json", `{"eos_token": "` + piece + `"}`},
		{"tokenizer_config.json", `{"eos_token": {"content": "` + piece + `", "lstrip": false}}`},
		{"special_tokens_map.json", `{"eos_token": {"content": "` + piece + `"}}`},
	} {
		clear()
		write(c.file, []byte(c.content))
		for _, args := range [][]string{nil, {"--tokenizer", greek}, {"--tokenizer", filepath.Join(dir, "tokenizer.json")}} {
			if got := text(args...); got != "αβ" {
				t.Errorf("%s, %v: %q", c.content, args, got)
			}
		}
	}
	// One more file never takes an end away.
	write("generation_config.json", []byte(`{"eos_token_id": 1}`))
	if got := text(); got != "αβ" {
		t.Errorf("two files: %q", got)
	}
	// What is tuned from such a folder ends there as well, wherever it is carried.
	run := t.TempDir()
	greeks := madeWith(t, greek)
	tune := func(e *env) { change(e); greeks(e) }
	train(t, run, tune, "--init", dir, "--steps", "1").want(t, 0)
	last, err := weights.Checkpoints(run)
	if err != nil || len(last) == 0 {
		t.Fatal(last, err)
	}
	if c, err := weights.ReadCheckpointState(last[0]); err != nil || c.Ends != fmt.Sprintf("1,%d", next) {
		t.Errorf("%v: the checkpoint's ends are %q", err, c.Ends)
	}
	alone := copied(t, last[0])
	for _, args := range [][]string{{"--run", run}, {"--weights", run}, {"--weights", alone}, {"--weights", alone, "--tokenizer", greek}} {
		r := generate(t, change, append(args, "--prompt", "αβ", "-n", "9", "--temperature", "0")...)
		r.want(t, 0)
		if r.out != "αβ" {
			t.Errorf("%v: %q", args, r.out)
		}
	}
	// What cannot be is said with file and key, and can be passed over.
	for _, c := range []struct{ file, content, want string }{
		{"generation_config.json", `{"eos_token_id": "x"}`, "generation_config.json: eos_token_id: neither an id nor a list of them"},
		{"generation_config.json", `{"eos_token_id": [1, 22]}`, "generation_config.json: eos_token_id is 22, and the vocabulary has the ids 0 to 21"},
		{"config.json", `{"eos_token_id": -2}`, "config.json: eos_token_id is -2"},
		{"tokenizer_config.json", `{"eos_token": "<nowhere>"}`, `tokenizer_config.json: eos_token is "<nowhere>", which is no piece of the vocabulary`},
		{"special_tokens_map.json", `{"eos_token": 3}`, "special_tokens_map.json: eos_token: neither a token nor null"},
		{"generation_config.json", `{`, "generation_config.json: unexpected end"},
	} {
		clear()
		write(c.file, []byte(c.content))
		generate(t, change, "--weights", dir).want(t, 2, c.want, "--accept-tokenizer")
		generate(t, change, "--weights", dir, "--accept-tokenizer", "-n", "1").want(t, 0, "warning: left out: ", c.want)
	}
}

// TestBeginningOfText: files and spec have to agree on whether a prompt gets BOS,
// and on which.
func TestBeginningOfText(t *testing.T) {
	greek := letters(t, alphabet('α', 20))
	_, checkpoint := trained(t)
	b, err := os.ReadFile(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	g, err := os.ReadFile(greek)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("model.safetensors", withoutMoments(t, b))
	write("tokenizer.json", g)
	for _, c := range []struct {
		config string
		bos    bool
		want   string // "" for agreement
	}{
		{`{}`, true, ""},
		{`{}`, false, ""},
		{`{"add_bos_token": null}`, true, ""},
		{`{"add_bos_token": true}`, true, ""},
		{`{"add_bos_token": false}`, false, ""},
		{`{"add_bos_token": true}`, false, "tokenizer_config.json: add_bos_token is true, and tokenizer.bos of the spec false"},
		{`{"add_bos_token": false}`, true, "tokenizer_config.json: add_bos_token is false, and tokenizer.bos of the spec true"},
		{`{"bos_token": "<s>"}`, true, ""},
		{`{"bos_token": "α"}`, false, ""},
		{`{"bos_token": "α"}`, true, "tokenizer_config.json: bos_token is 2 (α), and the tokenizer begins texts with 1 (<s>)"},
		{`{"bos_token": "<nowhere>"}`, true, `bos_token is "<nowhere>", which is no piece`},
	} {
		write("tokenizer_config.json", []byte(c.config))
		change := func(e *env) {
			for i := range e.info.Weights {
				e.info.Weights[i].HF = e.info.Weights[i].Name
			}
			e.info.Recipe.BOS = c.bos
			bindFake(&e.info)
		}
		r := generate(t, change, "--weights", dir, "--prompt", "α", "-n", "0")
		if c.want == "" {
			r.want(t, 0)
			continue
		}
		r.want(t, 2, c.want, fmt.Sprintf("--set tokenizer.bos=%v", !c.bos), "--accept-tokenizer")
		generate(t, change, "--weights", dir, "--accept-tokenizer", "-n", "0").want(t, 0, "warning: as the spec has it: ", c.want)
		// Training may change it, and says so.
		greeks := madeWith(t, greek)
		train(t, t.TempDir(), func(e *env) { change(e); greeks(e) }, "--init", dir, "--steps", "1").want(t, 0, "warning: ", c.want)
	}
}

// withoutMoments makes a plain safetensors file of a checkpoint's weights.
func withoutMoments(t *testing.T, checkpoint []byte) []byte {
	t.Helper()
	n := int(checkpoint[0]) | int(checkpoint[1])<<8 | int(checkpoint[2])<<16
	var head map[string]json.RawMessage
	if err := json.Unmarshal(checkpoint[8:8+n], &head); err != nil {
		t.Fatal(err)
	}
	end := 0
	for name, raw := range head {
		if name == "__metadata__" || strings.HasPrefix(name, "adam.") {
			delete(head, name)
			continue
		}
		var e struct {
			Offsets [2]int `json:"data_offsets"`
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatal(err)
		}
		end = max(end, e.Offsets[1])
	}
	b, err := json.Marshal(head)
	if err != nil {
		t.Fatal(err)
	}
	out := append([]byte{byte(len(b)), byte(len(b) >> 8), byte(len(b) >> 16), 0, 0, 0, 0, 0}, b...)
	return append(out, checkpoint[8+n:8+n+end]...)
}

// TestPromptThatSpellsBOS: no text has two, and formats that take it for text say
// so.
func TestPromptThatSpellsBOS(t *testing.T) {
	tok, err := tokenizer.Open(letters(t, "ab<s>"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		prompt string
		want   int // ids
		note   string
	}{
		{"a", 2, ""},
		{"<s>a", 2, "the prompt begins with <s> itself"},
		{"<s>", 1, "the prompt begins with <s> itself"},
		{"<s><s>", 2, "the prompt begins with <s> itself"}, // asked for in so many words
		{"a<s>", 3, ""},
		{"", 1, ""},
	} {
		ids, hidden := promptIDs(tok, true, c.prompt)
		var notes []string
		aboutPrompt(tok, c.prompt, true, func(s string) { notes = append(notes, s) })
		got := strings.Join(notes, "\n")
		if len(ids) != c.want || ids[0] != 1 || hidden != 0 || !strings.Contains(got, c.note) || c.note == "" && got != "" {
			t.Errorf("%q: %v, %q", c.prompt, ids, got)
		}
	}
	plain := tokenizer.WithoutSpecials(tok)
	var notes []string
	aboutPrompt(plain, "<s>a", true, func(s string) { notes = append(notes, s) })
	if ids, _ := promptIDs(plain, true, "<s>a"); len(ids) != 5 || len(notes) != 1 || !strings.Contains(notes[0], "<s> in the prompt is read as text") {
		t.Errorf("%v, %q", ids, notes)
	}
}
