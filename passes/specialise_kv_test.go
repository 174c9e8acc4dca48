package passes

import (
	"strings"
	"testing"
)

// A cache begins where its sequence begins: attention that begins later cannot
// be served from it, and is not served wrongly.
func TestStartsHaveNoCache(t *testing.T) {
	const src = `module m
dim B in [1, 8]
dim N in [1, 64]
stack layers [0, 1) @layer

func @logits main(%x: f32[B, N, 2, 4], %starts: i32[B, N]) -> (%y) {
  %y = stack(%x, %starts) {name = "layers"} : f32[B, N, 2, 4]
}

func @layer layer(%x: f32[B, N, 2, 4], %starts: i32[B, N]) -> (%o) {
  %o, %lse = attention(%x, %x, %x, %starts) {scale = 0.5} : f32[B, N, 2, 4], f32[B, 2, N]
}
`
	m := parse(t, "starts.ir", src)
	u := &Unit{Module: m, Stats: Stats{}}
	u.Config.Dims = map[string]int64{"S": 2, "M": 2, "blocks": 4, "block": 16}
	u.Config.Capacity = map[string]int64{"N": 8, "R": 2}
	if err := SpecialiseKV.Run(u); err == nil || !strings.Contains(err.Error(), "%o has a first key of its own, the cache begins at 0") {
		t.Errorf("got %v", err)
	}
}
