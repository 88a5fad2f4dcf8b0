package watchdog

import (
	"os"
	"path/filepath"
	"slices"
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
	d := &Device{f: w, until: start.Add(time.Second), asked: 5 * time.Second, timeout: 5 * time.Second}
	for i, at := range []time.Duration{0, 999 * time.Millisecond, time.Second, 2 * time.Second} {
		if err := d.Ping(start.Add(at)); err != nil {
			t.Fatalf("ping %d: %v", i, err)
		}
	}
	if _, err := d.Feed(start.Add(3*time.Second), 5*time.Second); err != nil {
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
	if _, err := New(path).Feed(time.Now(), 5*time.Second); err == nil {
		t.Error("a device that is not there must not be armed")
	}
}

// A time-out that changes is given to the device at once, and what the driver makes of it
// counts. One that it refuses leaves the old one, and the device armed.
func TestTimeout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "watchdog")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var asked []time.Duration
	refuses := os.ErrInvalid
	d := New(path)
	d.set = func(_ int, timeout time.Duration) (time.Duration, error) {
		asked = append(asked, timeout)
		if timeout > time.Minute {
			return 0, refuses
		}
		return max(timeout, 8*time.Second), nil
	}
	until := time.Now().Add(time.Hour)
	if is, err := d.Feed(until, time.Hour); err == nil || is != 0 || d.f != nil {
		t.Errorf("a time-out that the driver refuses: %s %v", is, err)
	}
	for _, c := range []struct {
		timeout, is, interval time.Duration
		fails                 bool
	}{
		{timeout: 5 * time.Second, is: 8 * time.Second, interval: 1600 * time.Millisecond},
		{timeout: 50 * time.Second, is: 50 * time.Second, interval: 5 * time.Second},
		{timeout: 50 * time.Second, is: 50 * time.Second, interval: 5 * time.Second},
		{timeout: time.Hour, is: 50 * time.Second, interval: 5 * time.Second, fails: true},
		{timeout: 10 * time.Second, is: 10 * time.Second, interval: 2 * time.Second},
	} {
		is, err := d.Feed(until, c.timeout)
		if is != c.is || (err != nil) != c.fails || d.Interval() != c.interval {
			t.Errorf("%s: %s, pinged every %s, %v", c.timeout, is, d.Interval(), err)
		}
	}
	want := []time.Duration{time.Hour, 5 * time.Second, 50 * time.Second, time.Hour, 10 * time.Second}
	if !slices.Equal(asked, want) {
		t.Errorf("the driver was asked for %s", asked)
	}
	if err := d.Disarm(); err != nil {
		t.Error(err)
	}
}
