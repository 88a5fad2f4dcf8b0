package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/mgmtd/outbox"
)

// trust is a client's TLS with the authorities in ca, or those of the system.
func trust(ca string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca == "" {
		return c, nil
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM([]byte(ca)) {
		return nil, errors.New("there is no certificate in ca")
	}
	return c, nil
}

// hook sends to one webhook.
type hook struct {
	*cib.Webhook
	client *http.Client
	url    string
	now    func() time.Time
}

// Webhook is a target of package outbox for a webhook whose secrets are open. cluster
// names the cluster.
func Webhook(name string, w *cib.Webhook, cluster func() string) (*outbox.Target, error) {
	conf, err := trust(w.CA)
	if err != nil {
		return nil, fmt.Errorf("webhook %s: %w", name, err)
	}
	h := &hook{Webhook: w, url: strings.ReplaceAll(w.URL, cib.URLToken, url.PathEscape(w.Token)), now: time.Now}
	h.client = &http.Client{
		Timeout:       w.AnswerTime(),
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, MaxIdleConns: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	filter := outbox.Filter{MinSeverity: w.MinSeverity, Codes: w.Events}
	return &outbox.Target{Name: name, Disabled: w.Disabled, Event: func(ev *cib.Event) (outbox.Delivery, error) {
		if !filter.Takes(ev) {
			return nil, nil
		}
		return func(ctx context.Context, id outbox.ID) error { return h.post(ctx, newNotice(cluster(), ev, id)) }, nil
	}}, nil
}

// body is what is posted.
func (h *hook) body(n *Notice) ([]byte, error) {
	if h.Format == cib.WebhookText {
		text := n.headline()
		if n.Remedy != "" && n.Severity != cib.SeverityCleared {
			text += "\n" + n.Remedy
		}
		return json.Marshal(map[string]string{"text": text})
	}
	return json.Marshal(n)
}

// post makes one try. The headers are those of https://www.standardwebhooks.com, 1.0.0.
func (h *hook) post(ctx context.Context, n *Notice) error {
	b, err := h.body(n)
	if err != nil {
		return fmt.Errorf("encode an event: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(b))
	if err != nil {
		return h.hide(err)
	}
	at := strconv.FormatInt(h.now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "belay")
	r.Header.Set("Webhook-Id", n.ID)
	r.Header.Set("Webhook-Timestamp", at)
	if h.Secret != "" {
		r.Header.Set("Webhook-Signature", sign(h.Secret, n.ID, at, b))
	}
	if h.Token != "" && !strings.Contains(h.URL, cib.URLToken) {
		r.Header.Set("Authorization", "Bearer "+h.Token)
	}
	resp, err := h.client.Do(r)
	if err != nil {
		return h.hide(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	switch s := resp.StatusCode; {
	case s >= 200 && s < 300:
		return nil
	case s == http.StatusBadRequest || s == http.StatusRequestEntityTooLarge || s == http.StatusUnprocessableEntity:
		return fmt.Errorf("the receiver answers %s: %w", resp.Status, outbox.ErrRefused)
	default:
		return fmt.Errorf("the receiver answers %s", resp.Status)
	}
}

// hide keeps the address out of an error: its path may hold the token.
func (h *hook) hide(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("post to the receiver: %w", err)
}

// sign is the value of Webhook-Signature: HMAC-SHA-256 over id, time and body.
func sign(secret, id, at string, body []byte) string {
	key := []byte(secret)
	if text, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if b, err := base64.StdEncoding.DecodeString(text); err == nil {
			key = b
		}
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte(id + "." + at + "."))
	m.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
}
