package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// device is the power switch, reached over HTTP.
type device struct {
	base           string
	user, password string
	question       time.Duration // limit for the answer to a question
	work           time.Duration // limit for the answer to an order
	client         *http.Client
}

func newDevice(o options) *device {
	dialer := &net.Dialer{Timeout: o.seconds("login_timeout")}
	return &device{
		base: "http://" + net.JoinHostPort(o["ip"], o["ipport"]),
		user: o["username"], password: o["password"],
		question: o.seconds("login_timeout") + o.seconds("shell_timeout"),
		work:     o.seconds("login_timeout") + o.seconds("power_timeout"),
		// The environment's proxy has no business between a cluster and its fence device.
		client: &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}},
	}
}

func (d *device) list(ctx context.Context) (map[string]string, error) {
	var states map[string]string
	err := d.call(ctx, d.question, http.MethodGet, "/outlets", &states)
	return states, err
}

// status is on or off; anything else is an error.
func (d *device) status(ctx context.Context, plug string) (string, error) {
	var answer struct{ State string }
	if err := d.call(ctx, d.question, http.MethodGet, "/outlets/"+url.PathEscape(plug), &answer); err != nil {
		return "", err
	}
	if answer.State != "on" && answer.State != "off" {
		return "", errStatus
	}
	return answer.State, nil
}

func (d *device) order(ctx context.Context, plug, action string) error {
	var answer struct{ State string }
	return d.call(ctx, d.work, http.MethodPost, "/outlets/"+url.PathEscape(plug)+"/"+action, &answer)
}

func (d *device) call(ctx context.Context, limit time.Duration, method, path string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errLogin, err)
	}
	if d.user != "" || d.password != "" {
		req.SetBasicAuth(d.user, d.password)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
			return errTimeout
		}
		return fmt.Errorf("%w: %w", errLogin, err)
	}
	defer resp.Body.Close()
	const answerMax = 1 << 20
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	switch {
	case err != nil:
		return errTimeout
	case resp.StatusCode == http.StatusUnauthorized:
		return errLogin
	case resp.StatusCode != http.StatusOK:
		return errStatus
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return errStatus
	}
	return nil
}
