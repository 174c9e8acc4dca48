package specs

import (
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// bombs are documents that would hang, exhaust or crash an unprotected
// evaluator. Each must end in one of the errors that its pattern allows; where
// two limits lie close together, either may be met first on a given machine.
var bombs = []struct{ name, code, want string }{
	{"tailstrict", `local f(x) = f(x + 1) tailstrict; { a: f(0) }`, `x.jsonnet:1:14: tailstrict is not allowed in a spec`},
	{"recursion", `local f(x) = f(x + 1); { a: f(0) }`, `x.jsonnet:1:14: evaluation nests too deeply`},
	{"import of itself", `import 'x.jsonnet'`, `x.jsonnet:1:1: evaluation nests too deeply`},
	{"object in itself", `{ a: $ }`, `x.jsonnet:1:6: a.a.a.a: evaluation nests too deeply`},
	{"array in itself", `local a = [a]; { a: a }`, `x.jsonnet:1:21: a: evaluation nests too deeply`},
	{"exponential", `local f(n) = if n == 0 then 1 else f(n - 1) + f(n - 1); { a: f(60) }`, anyLimit},
	{"filter", `{ a: std.length(std.filter(function(x) x > 1e9, std.range(0, 100000000))) }`, anyLimit},
	{"range", `{ a: std.range(0, 1e9) }`, anyLimit},
	{"range of 1e15", `{ a: std.range(0, 1e15) }`, `x.jsonnet:1:6: Expected an integer`},
	{"makeArray", `{ a: std.length(std.makeArray(2e9, function(i) i)) }`, anyLimit},
	{"repeat string", `{ a: std.repeat('0123456789', 1e9) }`, anyLimit},
	{"double string", `{ a: std.foldl(function(s, i) s + s, std.range(1, 60), 'x') }`, anyLimit},
	{"double array", `{ a: std.foldl(function(s, i) s + s, std.range(1, 60), [1]) }`, anyLimit},
	{"double object", `{ a: std.foldl(function(s, i) { l: s, r: s }, std.range(1, 40), {}) }`, anyLimit},
	{"million objects", `{ a: [{ i: i, j: [i] } for i in std.range(1, 1000000)] }`, anyLimit},
	{"comprehension", `{ a: [0 for a in std.range(1, 1000) for b in std.range(1, 1000) for c in std.range(1, 1000)] }`, anyLimit},
	{"format", `{ a: '%999999999d' % 1 }`, anyLimit},
	{"join", `{ a: std.join(std.repeat('x', 1000000), std.repeat(['y'], 100000)) }`, anyLimit},
	{"output", `{ a: std.foldl(function(s, i) s + s, std.range(1, 23), 'x') }`, anyLimit},
	{"brackets", strings.Repeat("[", 500_000), anyLimit},
	{"parentheses", "{ a: " + strings.Repeat("(", 300_000) + "1" + strings.Repeat(")", 300_000) + " }", anyLimit},
	{"sum", "{ a: 1" + strings.Repeat("+1", 400_000) + " }", anyLimit},
	{"objects", strings.Repeat("{a:", 60_000) + "1" + strings.Repeat("}", 60_000), anyLimit},
	{"trace", `{ a: std.length([std.trace('x' + i, i) for i in std.range(1, 30000000)]) }`, anyLimit},
	{"assert", `{ assert self.b == 1, b: std.length(std.range(1, 1e9)) }`, anyLimit},
	{"deep json", `{ a: std.parseJson(std.repeat('[', 3000000) + std.repeat(']', 3000000)) }`, anyLimit},
	{"sort", `{ a: std.length(std.sort(std.range(1, 30000000), function(x) -x)) }`, anyLimit},
}

// anyLimit is what a bomb ends in. Which limit is met first may depend on the
// machine and on what else it does.
const anyLimit = `x\.jsonnet:\d+:\d+: .*(takes longer than 1s: a loop|needs more than 256 MiB of memory|nests too deeply|larger than 4 MiB)`

func TestBombs(t *testing.T) {
	t.Cleanup(func() { checkPeak(t) })
	for _, b := range bombs {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := Load("x.jsonnet", Options{
				FS:     fstest.MapFS{"x.jsonnet": {Data: []byte(b.code)}},
				Limits: Limits{Time: time.Second, Memory: 256 << 20},
			})
			took := time.Since(start)
			if err == nil {
				t.Fatal("loaded")
			}
			// The document may lack fields as well: look at each line.
			found := regexp.MustCompile(`(?m)^` + b.want + `.*$`).FindString(err.Error())
			if found == "" {
				t.Errorf("error %q, want a match of %q", err, b.want)
			}
			// The limit, the parent's grace, and a busy machine.
			if took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			t.Logf("%.2fs %s", took.Seconds(), found)
		})
	}
}
