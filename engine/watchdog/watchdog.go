// Package watchdog feeds a watchdog device: the deadline that ends a node whose
// engine no longer may act, or no longer runs. It decides nothing.
package watchdog

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Device is a watchdog device (Linux watchdog API, Documentation/watchdog). It is
// not armed before the first [Device.Feed]: opening it starts its clock.
type Device struct {
	path string
	set  func(fd int, timeout time.Duration) (time.Duration, error)

	mu      sync.Mutex
	f       *os.File
	asked   time.Duration // the time-out that was asked for last
	timeout time.Duration // what the driver made of it
	until   time.Time     // fed up to here, on the caller's clock
}

// Info is what the kernel says of a device without arming it.
type Info struct {
	Identity string
	Timeout  time.Duration
	Hardware bool // false for software watchdogs, which die with the kernel
	NoWayOut bool // once armed it can't be disarmed
}

// Probe reads what sysfs says of a device. It does not open the device.
func Probe(path string) (Info, error) {
	name := filepath.Base(path)
	if name == "watchdog" {
		name = "watchdog0"
	}
	dir := filepath.Join("/sys/class/watchdog", name)
	read := func(file string) string {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(b))
	}
	if _, err := os.Stat(path); err != nil {
		return Info{}, fmt.Errorf("watchdog: %w", err)
	}
	in := Info{Identity: read("identity"), NoWayOut: read("nowayout") == "1"}
	if n, err := strconv.Atoi(read("timeout")); err == nil {
		in.Timeout = time.Duration(n) * time.Second
	}
	in.Hardware = in.Identity != "" && !strings.Contains(strings.ToLower(in.Identity), "soft")
	return in, nil
}

// New names a device.
func New(path string) *Device { return &Device{path: path, set: setTimeout} }

// Feed keeps the device quiet until the given time on the caller's clock, and gives it
// a time-out, in whole seconds; the driver may take another one, which is returned. It
// arms the device at the first call. Between two calls [Device.Ping] does the work.
func (d *Device) Feed(until time.Time, timeout time.Duration) (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if until.After(d.until) {
		d.until = until
	}
	if d.f != nil && timeout == d.asked {
		return d.timeout, nil
	}
	f := d.f
	if f == nil {
		var err error
		if f, err = os.OpenFile(d.path, os.O_WRONLY, 0); err != nil {
			return 0, fmt.Errorf("arm watchdog: %w", err)
		}
	}
	is, err := d.set(int(f.Fd()), timeout)
	if err != nil && d.f == nil {
		// Closing with the magic character disarms again where the driver allows it.
		_, _ = f.Write([]byte("V"))
		_ = f.Close()
		return 0, fmt.Errorf("set the watchdog's time-out to %s: %w", timeout, err)
	}
	d.f, d.asked = f, timeout // a driver that refuses a time-out does so each time
	if err == nil {
		d.timeout = is
	}
	return d.timeout, err
}

// setTimeout sets a time-out, which counts from now.
func setTimeout(fd int, timeout time.Duration) (time.Duration, error) {
	if err := unix.IoctlSetPointerInt(fd, unix.WDIOC_SETTIMEOUT, int(timeout/time.Second)); err != nil {
		return 0, err
	}
	is, err := unix.IoctlGetInt(fd, unix.WDIOC_GETTIMEOUT)
	return time.Duration(is) * time.Second, err
}

// Interval is how often [Device.Ping] is to be called: five times within the time-out.
func (d *Device) Interval() time.Duration {
	const slowest = 5 * time.Second
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timeout <= 0 {
		return time.Second // not armed yet
	}
	return min(d.timeout/5, slowest)
}

// Ping pings the device if now is before the time it is fed up to.
func (d *Device) Ping(now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.f == nil || !now.Before(d.until) {
		return nil
	}
	if _, err := d.f.Write([]byte{0}); err != nil {
		return fmt.Errorf("ping watchdog: %w", err)
	}
	return nil
}

// Disarm closes the device so that it does not fire. With nowayout the kernel goes
// on counting; the caller must know that before.
func (d *Device) Disarm() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.f == nil {
		return nil
	}
	_, err := d.f.Write([]byte("V"))
	if cerr := d.f.Close(); err == nil {
		err = cerr
	}
	d.f = nil
	if err != nil {
		return fmt.Errorf("disarm watchdog: %w", err)
	}
	return nil
}
