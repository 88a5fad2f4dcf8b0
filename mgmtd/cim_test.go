package mgmtd

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// CIM over HTTP is for this node alone: a password must not cross a network in the clear.
func TestCIMOverHTTP(t *testing.T) {
	for _, address := range []string{":5988", "0.0.0.0:5988", "192.0.2.1:5988", "example.org:5988", "[::]:5988", "5988"} {
		err := Run(t.Context(), Options{Socket: filepath.Join(t.TempDir(), "none"), StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler), CIMHTTP: address})
		if err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// The WBEM server refuses who does not log in, over TLS and over HTTP. A port that
// another server has keeps the rest of the daemon from nothing.
func TestCIMListens(t *testing.T) {
	free := func() string {
		ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		return ln.Addr().String()
	}
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	secure, plain := free(), free()
	start(t, func(o *Options) { o.CIMListen, o.CIMHTTP = []string{taken.Addr().String(), secure}, plain })
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}}}
	ask := func(ctx context.Context, url string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/cimom", strings.NewReader("<CIM/>"))
		if err != nil {
			return err
		}
		for k, v := range map[string]string{"Content-Type": "application/xml", "CIMOperation": "MethodCall", "CIMMethod": "X", "CIMObject": "root/cimv2"} {
			req.Header.Set(k, v)
		}
		resp, err := web.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic ") {
			return fmt.Errorf("it answers %s", resp.Status)
		}
		return nil
	}
	for _, url := range []string{"https://" + secure, "http://" + plain} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		tick := time.NewTicker(20 * time.Millisecond)
		for err := ask(ctx, url); err != nil; err = ask(ctx, url) {
			select {
			case <-ctx.Done():
				t.Fatalf("%s: %v", url, err)
			case <-tick.C:
			}
		}
		tick.Stop()
		cancel()
	}
}

// Who does not log in asks slowly over CIM, too.
func TestCIMStrangers(t *testing.T) {
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	start(t, func(o *Options) { o.CIMHTTP = address })
	web := &http.Client{Transport: &http.Transport{}}
	defer web.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	last := 0
	for last != http.StatusTooManyRequests {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/cimom", strings.NewReader("<CIM/>"))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{"Content-Type": "application/xml", "CIMOperation": "MethodCall", "CIMMethod": "X", "CIMObject": "root/cimv2"} {
			req.Header.Set(k, v)
		}
		resp, err := web.Do(req)
		if ctx.Err() != nil {
			t.Fatalf("nobody is held up; the last answer was %d", last)
		}
		if err != nil {
			continue // it does not listen yet
		}
		last = resp.StatusCode
		if last == http.StatusTooManyRequests && resp.Header.Get("Retry-After") == "" {
			t.Error("it does not say when to ask again")
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}
