package watchdog

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestPingOnlyWhileFed writes to a pipe in place of the device: pings go through up
// to the time it is fed, and the disarming is the magic close.
func TestPingOnlyWhileFed(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	start := time.Unix(100, 0)
	d := &Device{f: w, until: start.Add(time.Second)}
	for i, at := range []time.Duration{0, 999 * time.Millisecond, time.Second, 2 * time.Second} {
		if err := d.Ping(start.Add(at)); err != nil {
			t.Fatalf("ping %d: %v", i, err)
		}
	}
	if err := d.Feed(start.Add(3 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := d.Ping(start.Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := d.Disarm(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	n, err := r.Read(buf)
	if err != nil || string(buf[:n]) != "\x00\x00\x00V" {
		t.Fatalf("the device saw %q, %v", buf[:n], err)
	}
	if err := d.Ping(start); err != nil || d.Disarm() != nil {
		t.Fatal("a disarmed device is left alone")
	}
}

// TestMissingDevice says which file is missing.
func TestMissingDevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "watchdog")
	if _, err := Probe(path); err == nil {
		t.Error("a device that is not there must not be found")
	}
	if err := New(path, 5*time.Second).Feed(time.Now()); err == nil {
		t.Error("a device that is not there must not be armed")
	}
}
