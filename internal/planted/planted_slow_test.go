//go:build slow

package planted

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSlowPlanted plants each bug by an overlay, which leaves the source alone,
// and runs the tests that must catch it.
func TestSlowPlanted(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("go not found")
	}
	for _, b := range Bugs {
		t.Run(strings.ReplaceAll(b.Name, " ", "_"), func(t *testing.T) {
			dir := t.TempDir()
			file, text := b.plant(t)
			planted := filepath.Join(dir, filepath.Base(file))
			overlay, err := json.Marshal(map[string]map[string]string{"Replace": {file: planted}})
			if err != nil {
				t.Fatal(err)
			}
			for name, data := range map[string]string{planted: text, filepath.Join(dir, "overlay.json"): string(overlay)} {
				if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			args := []string{"test", "-vet=off", "-overlay=" + filepath.Join(dir, "overlay.json"), "-timeout=5m", "-run=" + b.Test.Run, b.Test.Package}
			if b.Test.Args != nil {
				args = append(append(args, "-args"), b.Test.Args...)
			}
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], Discard, dir)
			}
			cmd := exec.Command("go", args...)
			cmd.Dir = root(t)
			start := time.Now()
			out, err := cmd.CombinedOutput()
			lines := strings.Split(string(out), "\n")
			failed := slices.ContainsFunc(lines, func(l string) bool {
				return strings.HasPrefix(strings.TrimSpace(l), "--- FAIL") || strings.HasPrefix(l, "panic: ")
			})
			switch {
			case err == nil:
				t.Errorf("go %s passes with the bug planted", strings.Join(args, " "))
			case !failed:
				t.Errorf("the bug does not compile, or no test ran:\n%.3000s", out)
			default:
				why := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "_test.go:") })
				t.Logf("caught in %.1f s: %.200s", time.Since(start).Seconds(), strings.TrimSpace(lines[max(0, why)]))
			}
		})
	}
}
