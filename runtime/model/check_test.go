package model

import (
	"strings"
	"testing"
)

// TestArena takes an arena of the model's size or none.
func TestArena(t *testing.T) {
	for _, n := range []int{0, 1, 5, 7} {
		if _, err := (Options{Params: make([]float32, n)}).Arena(6); err == nil || !strings.HasPrefix(err.Error(), "Options.Params has ") {
			t.Errorf("%d elements of 6: %v", n, err)
		}
	}
	own := make([]float32, 6)
	if got, err := (Options{Params: own}).Arena(6); err != nil || &got[0] != &own[0] {
		t.Errorf("its own: %v", err)
	}
	if got, err := (Options{}).Arena(6); err != nil || len(got) != 6 {
		t.Errorf("none given: %d, %v", len(got), err)
	}
}

// TestBatchCheck names what is wrong with a batch, a slice that is short with
// room behind it above all: reading on would give the loss of another text.
func TestBatchCheck(t *testing.T) {
	ids := make([]int32, 12)
	for want, in := range map[string]Batch{
		"":                         {Tokens: ids, Targets: ids},
		"Batch.Tokens has 5 ":      {Tokens: ids[:5], Targets: ids},
		"Batch.Tokens has 0 ":      {Targets: ids},
		"Batch.Targets has 0 ":     {Tokens: ids},
		"Batch.Starts has 3 ":      {Tokens: ids, Targets: ids, Starts: ids[:3]},
		"Batch.Tokens[1] is 9, ":   {Tokens: []int32{0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, Targets: ids},
		"Batch.Tokens[0] is -1, ":  {Tokens: []int32{-1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, Targets: ids},
		"Batch.Targets[11] is 9, ": {Tokens: ids, Targets: []int32{-1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}},
	} {
		got := func() (msg string) {
			defer func() { msg, _ = recover().(string) }()
			in.Check(12, 9)
			return ""
		}()
		if want == "" && got != "" || !strings.HasPrefix(got, strings.TrimSuffix("model: "+want, "model: ")) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestCheckStep names what a step cannot take.
func TestCheckStep(t *testing.T) {
	ids := []int32{0, 1, 2}
	room := make([]float32, 30)
	for want, args := range map[string][]any{
		"":                                  {ids, ids, []int32{0, 2}, room},
		"0 tokens in one step":              {ids[:0], ids[:0], ids[:0], room},
		"5 tokens in one step, want 1 to 4": {make([]int32, 5), make([]int32, 5), ids[:0], room},
		"3 tokens with 2 sequences":         {ids, ids[:2], ids[:1], room},
		"3 rows of logits wanted":           {ids, ids, ids, room},
		"room for 9 logits":                 {ids, ids, []int32{0}, room[:9]},
		"tokens[0] is 10":                   {[]int32{10}, ids[:1], ids[:1], room},
		"tokens[0] is -1":                   {[]int32{-1}, ids[:1], ids[:1], room},
		"want[1] is 0: ":                    {ids, ids, []int32{0, 0}, room},
		"want[0] is 3: ":                    {ids, ids, []int32{3}, room},
		"want[0] is -1: ":                   {ids, ids, []int32{-1}, room},
	} {
		err := CheckStep(args[0].([]int32), args[1].([]int32), args[2].([]int32), args[3].([]float32), 4, 2, 10)
		if (want == "") != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
