package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/agent/meta"
)

// healthCheck asks a service whether it is well. Several questions are all asked.
type healthCheck struct {
	url     string
	address string
	timeout time.Duration
}

const defaultHealthTimeout = 5 * time.Second

func parseHealth(params map[string]string) (healthCheck, error) {
	h := healthCheck{url: params["health_url"], timeout: defaultHealthTimeout}
	if h.url != "" {
		u, err := url.Parse(h.url)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return h, fmt.Errorf("health_url %q: want http://host:port/path", h.url)
		}
	}
	if p := params["health_port"]; p != "" {
		if !strings.Contains(p, ":") {
			p = "127.0.0.1:" + p
		}
		_, port, err := net.SplitHostPort(p)
		if n, errn := strconv.ParseUint(port, 10, 16); err != nil || errn != nil || n == 0 {
			return h, fmt.Errorf("health_port %q: want a port or host:port", params["health_port"])
		}
		h.address = p
	}
	if v := params["health_timeout"]; v != "" {
		d, err := meta.ParseDuration(v)
		if err != nil || d <= 0 {
			return h, fmt.Errorf("health_timeout %q: want a time", v)
		}
		h.timeout = d
	}
	return h, nil
}

func (h healthCheck) none() bool { return h.url == "" && h.address == "" }

// healthClient reuses no connection and follows no redirect: it is this
// service, now, that is asked.
var healthClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ask says what is wrong, or nil.
func (h healthCheck) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	if h.address != "" {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", h.address)
		if err != nil {
			return fmt.Errorf("it accepts no connection: %w", err)
		}
		_ = c.Close()
	}
	if h.url == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := healthClient.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%s does not answer within %v", h.url, h.timeout)
		}
		return fmt.Errorf("it does not answer: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s answers %s", h.url, resp.Status)
	}
	return nil
}
