package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/quorumd/server"
)

func serveCmd() *cobra.Command {
	var o server.Options
	var level string
	c := &cobra.Command{
		Use: "serve", Short: "Serve clusters until SIGTERM; SIGHUP reads the configuration anew", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var l slog.Level
			if err := l.UnmarshalText([]byte(level)); err != nil {
				return usageError{fmt.Errorf("--log-level %q: a level is debug, info, warn or error", level)}
			}
			o.Version = version
			o.StateDir, o.Socket = flag(c, "state-dir"), flag(c, "socket")
			o.Log = slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: l}))
			o.Ready = func() { _, _ = sd.SdNotify(false, sd.SdNotifyReady) }
			return serve(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Config, "config", "/etc/belay/quorumd.yaml", "`file` that names clusters, keys and tickets")
	f.StringVar(&o.Listen, "listen", ":7410", "`address` for clusters")
	f.StringVar(&o.Status, "status", "127.0.0.1:7411", "`address` of the status page and the metrics; empty for none")
	f.StringVar(&o.Name, "name", "", "`name` that clients are shown (default the host's)")
	f.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return c
}

func flag(c *cobra.Command, name string) string { return c.Flag(name).Value.String() }

func serve(ctx context.Context, o server.Options) error {
	syscall.Umask(0o077)
	// It waits for the network and the disk, and hardly computes. With one processor no
	// thread looks for work that is not there; with little garbage kept, thousands of
	// connections need little memory.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
	if o.Socket != "" {
		if err := os.MkdirAll(filepath.Dir(o.Socket), 0o700); err != nil {
			return fmt.Errorf("make the socket's directory: %w", err)
		}
	}
	s, err := server.New(o)
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-hup:
				_ = s.Reload() // it is logged, and the old configuration stays
			case <-done:
				return
			}
		}
	}()
	return s.Run(ctx)
}

func keyCmd() *cobra.Command {
	return &cobra.Command{
		Use: "key", Short: "Print the pin of this arbitrator's key, making the key where there is none", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir := flag(c, "state-dir")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return fmt.Errorf("make the state directory: %w", err)
			}
			cert, err := pki.LoadOrMakeKey(filepath.Join(dir, server.FileKey), "belay-quorumd", time.Now())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), pki.Pin(cert.Leaf))
			return err
		},
	}
}

// admin asks the running arbitrator over its socket.
func admin(c *cobra.Command, method, path string, form url.Values) error {
	socket := flag(c, "socket")
	hc := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(c.Context(), method, "http://quorumd"+path, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("ask %s: %w", socket, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := hc.Do(req)
	if err != nil {
		return fmt.Errorf("ask the arbitrator at %s: %w", socket, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", strings.TrimSpace(string(body)))
	}
	_, err = c.OutOrStdout().Write(body)
	return err
}

func reloadCmd() *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "Read the configuration anew", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return admin(c, http.MethodPost, "/reload", nil) },
	}
}

func ticketCmd() *cobra.Command {
	c := &cobra.Command{Use: "ticket", Short: "Tickets, by hand"}
	grant := &cobra.Command{
		Use: "grant TICKET [CLUSTER]", Short: "Let a cluster have a ticket; without one any that is configured for it may ask", Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			form := url.Values{}
			if len(args) > 1 {
				form.Set("cluster", args[1])
			}
			return admin(c, http.MethodPost, "/tickets/"+url.PathEscape(args[0])+"/grant", form)
		},
	}
	revoke := &cobra.Command{
		Use: "revoke TICKET", Short: "Take a ticket from whoever has it, until it is granted again", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return admin(c, http.MethodPost, "/tickets/"+url.PathEscape(args[0])+"/revoke", nil)
		},
	}
	c.AddCommand(grant, revoke)
	return c
}

func clusterCmd() *cobra.Command {
	c := &cobra.Command{Use: "cluster", Short: "Clusters, by hand"}
	c.AddCommand(&cobra.Command{
		Use: "forget CLUSTER", Short: "Forget what is known of a cluster's data, for one that was made anew", Args: cobra.ExactArgs(1),
		Long: `Forget what is known of a cluster's data generation and grant. A half of it gets
nothing until a majority has reported its data again. It is refused while a half has
the grant.`,
		RunE: func(c *cobra.Command, args []string) error {
			return admin(c, http.MethodPost, "/clusters/"+url.PathEscape(args[0])+"/forget", nil)
		},
	})
	return c
}
