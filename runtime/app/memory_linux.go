package app

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// availableMemory is what the process may still take of the machine and of the
// control groups it lives in.
func availableMemory() (limit, bool) { return linuxMemory("/") }

// linuxMemory takes the least of what the kernel calls available and of what
// every control group above the process leaves. root is / outside tests.
func linuxMemory(root string) (limit, bool) {
	best, ok := limit{}, false
	// MemAvailable is the kernel's own estimate, with caches that it would give
	// up counted in.
	if n, found := keyed(filepath.Join(root, "proc/meminfo"), "MemAvailable:"); found {
		best, ok = limit{n * 1024, "of this machine's memory"}, true
	}
	f, err := os.Open(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return best, ok
	}
	// Limits of every group above the process count: any of them may be the
	// tight one.
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// hierarchy:controllers:path
		part := strings.SplitN(lines.Text(), ":", 3)
		if len(part) != 3 {
			continue
		}
		// Version 2 has one hierarchy, version 1 one a controller.
		g := cgroup{max: "memory.max", used: "memory.current", cache: "inactive_file", base: filepath.Join(root, "sys/fs/cgroup")}
		switch {
		case part[0] == "0" && part[1] == "":
		case hasWord(part[1], "memory"): // version 1
			g = cgroup{max: "memory.limit_in_bytes", used: "memory.usage_in_bytes", cache: "total_inactive_file",
				base: filepath.Join(root, "sys/fs/cgroup/memory")}
		default:
			continue
		}
		// A container may see its own group as the root while the file names
		// the path outside; then only the root exists, and it is the right one.
		for dir := filepath.Clean("/" + part[2]); ; dir = filepath.Dir(dir) {
			if l, found := g.left(dir, root); found && (!ok || l.bytes < best.bytes) {
				best, ok = l, true
			}
			if dir == "/" {
				break
			}
		}
	}
	return best, ok
}

// cgroup names the files of one version of the memory controller.
type cgroup struct{ base, max, used, cache string }

// left is what one group has left; it has no limit if its file says so.
func (g cgroup) left(dir, root string) (limit, bool) {
	at := filepath.Join(g.base, dir)
	// Version 1 spells "no limit" as a number near 2^63.
	most, ok := number(filepath.Join(at, g.max))
	if !ok || most >= 1<<60 { // "max", or version 1's way to say it
		return limit{}, false
	}
	used, _ := number(filepath.Join(at, g.used))
	// Pages of files that were read once are given up before the limit hurts.
	cache, _ := keyed(filepath.Join(at, "memory.stat"), g.cache)
	shown, err := filepath.Rel(root, at)
	if err != nil {
		shown = at
	}
	return limit{max(0, most-used+cache), "under the limit of cgroup /" + filepath.ToSlash(shown)}, true
}

// number reads a file that holds one number.
func number(path string) (int64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}

// keyed finds "key number ..." in a file of such lines.
func keyed(path, key string) (int64, bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	// Files of this kind have a few dozen short lines.
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if w := strings.Fields(lines.Text()); len(w) >= 2 && w[0] == key {
			n, err := strconv.ParseInt(w[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// hasWord looks for a controller in a list such as "cpu,memory".
func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}
