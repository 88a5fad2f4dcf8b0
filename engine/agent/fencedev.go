package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/cib"
)

// The protocol of belay:dev: one line each way on a unix socket. The request
// is "on NODE", "off NODE" or "status NODE"; the answer "ok", "on", "off" or
// "error TEXT". A server may also answer "list" with "ok n1 n2 ...". Monitor
// without a node only connects.

const devLineMaxBytes = 16 << 10

func devMetadata() *meta.Metadata {
	return &meta.Metadata{
		Kind: meta.Fence, Name: DevAgent, Version: "1.0",
		ShortDesc: "Power switch of a development cluster",
		LongDesc:  "Asks the program that started the nodes, over a unix socket, to end or start one of them.",
		Parameters: []meta.Parameter{
			{Name: "socket", Type: meta.String, Required: true, ShortDesc: "Path of the socket"},
			{Name: "plug", Type: meta.String, ShortDesc: "The node"},
		},
		Actions: []meta.Action{
			{Name: string(FenceOn)},
			{Name: string(FenceOff)},
			{Name: string(FenceReboot)},
			{Name: string(FenceStatus)},
			{Name: string(FenceList)},
			{Name: string(FenceMonitor)},
			{Name: string(FenceValidate)},
			{Name: string(fenceMetadata)},
		},
	}
}

var errDevice = errors.New("the device reports")

func (r *Runner) runDevFence(ctx context.Context, q FenceRequest) FenceResult {
	res := FenceResult{Status: cib.OpDone, RC: 1}
	if ctx.Err() != nil {
		return FenceResult{Status: cib.OpCancelled, RC: -1, Reason: q.describe() + " was cancelled"}
	}
	if now := r.cfg.Now(); !q.NotAfter.IsZero() && now.After(q.NotAfter) {
		late := now.Sub(q.NotAfter).Round(time.Millisecond)
		return FenceResult{Status: cib.OpNotRun, RC: -1, Reason: fmt.Sprintf("%s was not started: its time was over %v ago", q.describe(), late)}
	}
	limit, cancel := context.WithTimeout(ctx, q.Timeout)
	defer cancel()
	res.Started = time.Now()
	err := q.askDev(limit, &res)
	res.Ended, res.Exec = time.Now(), time.Since(res.Started)
	if err == nil {
		res.OK = true
		return res
	}
	res.Reason = q.describe() + ": " + err.Error()
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		res.Status = cib.OpCancelled
	case limit.Err() != nil:
		res.Status = cib.OpTimeout
	case !errors.Is(err, errDevice):
		res.Status = cib.OpError
	}
	return res
}

// askDev makes the calls that an action consists of.
func (q *FenceRequest) askDev(ctx context.Context, res *FenceResult) error {
	plug := q.Plug
	if p := q.Params["plug"]; p != "" {
		plug = p
	}
	needsPlug := q.Action == FenceOn || q.Action == FenceOff || q.Action == FenceReboot || q.Action == FenceStatus
	if needsPlug && (plug == "" || strings.Contains(plug, " ")) {
		return fmt.Errorf("no node named: %q", plug)
	}
	ask := func(line string) (string, error) { return askSocket(ctx, q.Params["socket"], line) }
	switch q.Action {
	case FenceOn, FenceOff:
		_, err := ask(string(q.Action) + " " + plug)
		res.RC = rcOf(err)
		return err
	case FenceReboot:
		if _, err := ask("off " + plug); err != nil {
			return err
		}
		if state, err := ask("status " + plug); err != nil || state != "off" {
			return errors.Join(err, fmt.Errorf("switched off, but the state is %q", state))
		}
		_, err := ask("on " + plug)
		res.RC = rcOf(err)
		return err
	case FenceStatus:
		state, err := ask("status " + plug)
		switch {
		case err != nil:
			return err
		case state == "on":
			res.RC, res.Power = fenceRCOn, PowerOn
		case state == "off":
			res.RC, res.Power = fenceRCOff, PowerOff
		default:
			return fmt.Errorf("%w the state %q", errDevice, state)
		}
		return nil
	case FenceMonitor:
		res.RC = 0
		if plug != "" {
			_, err := ask("status " + plug)
			res.RC = rcOf(err)
			return err
		}
		c, err := dialSocket(ctx, q.Params["socket"])
		if err != nil {
			return err
		}
		return c.Close()
	case FenceList:
		names, err := ask("list")
		if err != nil {
			return err
		}
		res.RC = 0
		for n := range strings.FieldsSeq(strings.TrimPrefix(names, "ok")) {
			res.Plugs = append(res.Plugs, Plug{Name: n})
		}
		return nil
	case FenceValidate:
		res.RC = 0
		if q.Params["socket"] == "" {
			res.RC = 1
			return errors.New("parameter socket: required")
		}
		return nil
	case fenceMetadata:
		res.RC, res.Stdout = 0, string(devMetadata().Marshal())
		return nil
	}
	return fmt.Errorf("the agent knows no action %s", q.Action)
}

func rcOf(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

// askSocket sends a line and reads a line.
func askSocket(ctx context.Context, path, line string) (string, error) {
	c, err := dialSocket(ctx, path)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // one question, one answer
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		return "", err
	}
	in := bufio.NewScanner(c)
	in.Buffer(nil, devLineMaxBytes)
	if !in.Scan() {
		if err := in.Err(); err != nil {
			return "", err
		}
		return "", errors.New("the device closed the connection without an answer")
	}
	answer := strings.TrimSpace(in.Text())
	if text, bad := strings.CutPrefix(answer, "error"); bad {
		return "", fmt.Errorf("%w: %s", errDevice, strings.TrimSpace(text))
	}
	return answer, nil
}

func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	if path == "" {
		return nil, errors.New("parameter socket: required")
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}
