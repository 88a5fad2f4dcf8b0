package dev

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// power switches machines: what stands behind the fence device.
type power interface {
	names() []string
	on(name string) error
	off(name string) error
	status(name string) (on bool, err error)
}

// Limits of the fence device.
const (
	fenceLineMax    = 1 << 10          // bytes of a request
	fenceAnswerMax  = 30 * time.Second // a request and its answer
	fenceCallersMax = 64               // at a time; more wait
)

// fenceDevice is the fence device of the cluster: a unix socket that takes one line
// for a request and answers with one line.
//
//	off NODE      ok          every process of the node is gone
//	on NODE       ok          the node boots
//	status NODE   on | off
//	list          ok n1 n2 n3
//
// Instead, the answer may be "error" and a text.
type fenceDevice struct {
	ln    net.Listener
	power power
	slots chan struct{}
	work  sync.WaitGroup
}

// serveFence listens at the path.
func serveFence(ctx context.Context, path string, p power) (*fenceDevice, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("fence device: %w", err)
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("fence device: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("fence device: %w", err), ln.Close())
	}
	d := &fenceDevice{ln: ln, power: p, slots: make(chan struct{}, fenceCallersMax)}
	d.work.Go(d.serve)
	return d, nil
}

// close ends the service. A switching that is under way is waited for.
func (d *fenceDevice) close() {
	_ = d.ln.Close()
	d.work.Wait()
}

func (d *fenceDevice) serve() {
	for {
		d.slots <- struct{}{}
		c, err := d.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no free file numbers, for one
			<-d.slots
			time.Sleep(10 * time.Millisecond)
			continue
		}
		d.work.Go(func() {
			defer func() { <-d.slots }()
			defer c.Close() //nolint:errcheck // the answer was given or not
			_ = c.SetDeadline(time.Now().Add(fenceAnswerMax))
			in := bufio.NewScanner(io.LimitReader(c, fenceLineMax))
			if in.Scan() { // a caller that only connects wants to know that somebody is there
				_, _ = io.WriteString(c, d.answer(in.Text())+"\n")
			}
		})
	}
}

func (d *fenceDevice) answer(line string) string {
	f := strings.Fields(line)
	switch {
	case len(f) == 1 && f[0] == "list":
		return strings.Join(append([]string{"ok"}, d.power.names()...), " ")
	case len(f) != 2:
		return "error a request is on, off or status with a node, or list"
	}
	var err error
	answer := "ok"
	switch f[0] {
	case "on":
		err = d.power.on(f[1])
	case "off":
		err = d.power.off(f[1])
	case "status":
		var on bool
		on, err = d.power.status(f[1])
		answer = "off"
		if on {
			answer = "on"
		}
	default:
		return fmt.Sprintf("error there is no request %q", f[0])
	}
	if err != nil {
		return "error " + strings.Join(strings.Fields(err.Error()), " ")
	}
	return answer
}

// askFence makes one request of a fence device.
func askFence(ctx context.Context, path, line string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, fenceAnswerMax)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return "", fmt.Errorf("ask the fence device: %w", err)
	}
	defer c.Close() //nolint:errcheck // one question, one answer
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", fmt.Errorf("ask the fence device: %w", err)
	}
	in := bufio.NewScanner(c)
	if !in.Scan() {
		return "", fmt.Errorf("the fence device gave no answer: %w", errors.Join(in.Err(), io.ErrUnexpectedEOF))
	}
	if text, bad := strings.CutPrefix(in.Text(), "error "); bad {
		return "", errors.New(text)
	}
	return in.Text(), nil
}
