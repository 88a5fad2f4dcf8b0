package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// serviceAnswer is what the demo service says of itself at /status.
type serviceAnswer struct {
	Node    string    `json:"node"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
}

// webCommand is the demo service.
func webCommand() *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use: "web", Short: "The small web service of the demo", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return serveWeb(ctx, listen)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "`address` to listen on")
	return c
}

// serveWeb answers until ctx ends.
func serveWeb(ctx context.Context, listen string) error {
	me := serviceAnswer{Node: os.Getenv("BELAY_NODE"), PID: os.Getpid(), Started: time.Now().UTC()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "Served by node %s, process %d, since %s (%s).\n",
			me.Node, me.PID, me.Started.Local().Format(time.TimeOnly), time.Since(me.Started).Round(time.Second))
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(me)
	})
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("web: %w", err)
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		_ = srv.Close()
	}()
	err = srv.Serve(ln)
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("web: %w", err)
	}
	<-stopped
	return nil
}

// askService asks the demo service who it is.
func askService(ctx context.Context, client *http.Client, url string) (*serviceAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/status", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask the service: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the service: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	a := &serviceAnswer{}
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 64<<10)).Decode(a); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the service answered %s: %w", resp.Status, errors.Join(err))
	}
	return a, nil
}

// serviceClient makes a connection for every question: an old one says nothing of
// who listens now.
func serviceClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}}
}
