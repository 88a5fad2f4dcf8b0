package dev

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// awaitManagement waits until the management daemon of every node is ready: it knows
// the cluster, and shows a certificate that the cluster has made.
func (c *cluster) awaitManagement(ctx context.Context) error {
	if c.opts.mgmtd == "" {
		return nil
	}
	pem, err := os.ReadFile(filepath.Join(c.work.path, fileCA))
	if err != nil {
		return fmt.Errorf("read the authority's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("the authority's certificate can't be read")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, DisableKeepAlives: true}
	web := &http.Client{Transport: transport}
	for _, n := range c.super.nodes {
		if err := poll(ctx, func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+n.rest+"/readyz", http.NoBody)
			if err != nil {
				return err
			}
			resp, err := web.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close() //nolint:errcheck // only read
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("it answers %s", resp.Status)
			}
			return nil
		}); err != nil {
			return fmt.Errorf("node %s: %w", n.name, err)
		}
	}
	return nil
}
