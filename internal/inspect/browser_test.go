package inspect_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// browser is a headless Chromium, driven through its DevTools protocol over
// two pipes: JSON messages with a NUL behind each.
type browser struct {
	t       *testing.T
	send    io.Writer
	answers chan message
	session string
	id      int
	errors  []string // exceptions that the page threw, requests that it made
}

type message struct {
	ID        int                       `json:"id,omitempty"`
	Method    string                    `json:"method,omitempty"`
	Params    json.RawMessage           `json:"params,omitempty"`
	Result    json.RawMessage           `json:"result,omitempty"`
	SessionID string                    `json:"sessionId,omitempty"`
	Error     *struct{ Message string } `json:"error,omitempty"`
}

// startBrowser starts Chromium with one empty tab, or skips the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("chromium not found")
	}
	toRead, toWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromRead, fromWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	profile := t.TempDir()
	c := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	c.ExtraFiles = []*os.File{toRead, fromWrite} // 3 and 4
	if err := c.Start(); err != nil {
		t.Skipf("chromium not found: %v", err)
	}
	toRead.Close()
	fromWrite.Close()
	b := &browser{t: t, send: toWrite, answers: make(chan message, 256)}
	go func() {
		defer close(b.answers)
		for r := bufio.NewReader(fromRead); ; {
			raw, err := r.ReadBytes(0)
			if err != nil {
				return
			}
			var m message
			if json.Unmarshal(bytes.TrimSuffix(raw, []byte{0}), &m) == nil {
				b.answers <- m
			}
		}
	}()
	t.Cleanup(func() {
		b.command("Browser.close", nil, nil)
		toWrite.Close()
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			c.Process.Kill()
			<-done
		}
		fromRead.Close()
	})
	var target struct{ TargetID string }
	b.must("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.must("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Network"} {
		b.must(domain+".enable", nil, nil)
	}
	return b
}

// command calls a method and waits for its answer.
func (b *browser) command(method string, params, result any) error {
	b.id++
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	if params == nil {
		raw = []byte("{}")
	}
	m, err := json.Marshal(message{ID: b.id, Method: method, Params: raw, SessionID: b.session})
	if err != nil {
		return err
	}
	if _, err := b.send.Write(append(m, 0)); err != nil {
		return err
	}
	return b.await(func(m message) (bool, error) {
		switch {
		case m.ID != b.id:
			return false, nil
		case m.Error != nil:
			return true, fmt.Errorf("%s: %s", method, m.Error.Message)
		case result != nil:
			return true, json.Unmarshal(m.Result, result)
		}
		return true, nil
	})
}

// await reads messages until one satisfies, and notes what went wrong in the
// page meanwhile.
func (b *browser) await(f func(message) (bool, error)) error {
	limit := time.After(30 * time.Second)
	for {
		select {
		case m, ok := <-b.answers:
			if !ok {
				return fmt.Errorf("chromium has ended")
			}
			switch m.Method {
			case "Runtime.exceptionThrown":
				b.errors = append(b.errors, string(m.Params))
			case "Network.requestWillBeSent":
				var p struct{ Request struct{ URL string } }
				if err := json.Unmarshal(m.Params, &p); err == nil && !bytes.HasPrefix([]byte(p.Request.URL), []byte("file://")) {
					b.errors = append(b.errors, "request of "+p.Request.URL)
				}
			}
			if done, err := f(m); done || err != nil {
				return err
			}
		case <-limit:
			return fmt.Errorf("chromium does not answer")
		}
	}
}

func (b *browser) must(method string, params, result any) {
	b.t.Helper()
	if err := b.command(method, params, result); err != nil {
		b.t.Fatal(err)
	}
}

// open shows a file at a place of its own, in a window of a size.
func (b *browser) open(file, hash string, width, height int, scheme string) {
	b.t.Helper()
	b.must("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.must("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	abs, err := filepath.Abs(file)
	if err != nil {
		b.t.Fatal(err)
	}
	b.must("Page.navigate", map[string]any{"url": "about:blank"}, nil) // a change of the hash alone would not load
	b.must("Page.navigate", map[string]any{"url": "file://" + abs + hash}, nil)
	err = b.await(func(m message) (bool, error) { return m.Method == "Page.loadEventFired", nil })
	if err == nil { // the blank page's event came first
		b.eval(`new Promise(r => document.readyState === "complete" && location.protocol === "file:" ? r(1) : addEventListener("load", r))`, nil)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// eval runs an expression in the page and decodes what it gives.
func (b *browser) eval(expression string, result any) {
	b.t.Helper()
	var out struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	b.must("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &out)
	if out.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, out.ExceptionDetails.Exception.Description)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(out.Result.Value, result); err != nil {
		b.t.Fatalf("%s: %v: %s", expression, err, out.Result.Value)
	}
}

// click presses the pointer on the middle of the first element that matches a
// selector, as a person would.
func (b *browser) click(selector string) {
	b.t.Helper()
	var at []float64
	q, _ := json.Marshal(selector)
	b.eval(fmt.Sprintf(`(() => { const e = document.querySelector(%s); e.scrollIntoView({block: "nearest", inline: "nearest"}); const r = e.getClientRects()[0]; return [r.x + r.width / 2, r.y + r.height / 2]; })()`, q), &at)
	for _, kind := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
		b.must("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1}, nil)
	}
}

// shot saves what is to be seen.
func (b *browser) shot(name string) {
	b.t.Helper()
	var out struct{ Data []byte }
	b.must("Page.captureScreenshot", map[string]any{"format": "png"}, &out)
	if err := os.WriteFile(name, out.Data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
