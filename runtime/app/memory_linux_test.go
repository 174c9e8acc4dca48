package app

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLinuxMemory reads made-up /proc and /sys trees.
func TestLinuxMemory(t *testing.T) {
	const meminfo = "MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    500 kB\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  int64
		by    string
	}{
		{"machine", map[string]string{"proc/meminfo": meminfo}, 500 << 10, "of this machine's memory"},
		{"nothing", nil, -1, ""},
		{"v2", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "300000\n", "sys/fs/cgroup/a/memory.current": "100000\n",
			"sys/fs/cgroup/a/memory.stat": "anon 5\ninactive_file 20000\n"}, 220000, "under the limit of cgroup /sys/fs/cgroup/a"},
		{"v2 wide limit", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n",
			"sys/fs/cgroup/a/memory.max": "9000000\n"}, 500 << 10, "of this machine's memory"},
		{"v2 root of a container", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/../../pod\n",
			"sys/fs/cgroup/memory.max": "1000\n", "sys/fs/cgroup/memory.current": "1500\n"}, 0, "under the limit of cgroup /sys/fs/cgroup"},
		{"v1", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/y\n",
			"sys/fs/cgroup/memory/y/memory.limit_in_bytes": "4096\n", "sys/fs/cgroup/memory/y/memory.usage_in_bytes": "96\n",
			"sys/fs/cgroup/memory/y/memory.stat": "total_inactive_file 10\n"}, 4010, "under the limit of cgroup /sys/fs/cgroup/memory/y"},
		{"v1 unlimited", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/y\n",
			"sys/fs/cgroup/memory/y/memory.limit_in_bytes": "9223372036854771712\n"}, 500 << 10, "of this machine's memory"},
		{"garbage", map[string]string{"proc/meminfo": "MemAvailable: much\n", "proc/self/cgroup": "zzz\n"}, -1, ""},
	} {
		root := t.TempDir()
		for name, content := range c.files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		got, ok := linuxMemory(root)
		if ok != (c.want >= 0) || ok && (got.bytes != c.want || got.by != c.by) {
			t.Errorf("%s: %+v, %v; want %d %q", c.name, got, ok, c.want, c.by)
		}
	}
	if l, ok := availableMemory(); !ok || l.bytes < 1<<20 {
		t.Errorf("this machine: %+v, %v", l, ok)
	}
}
