package cib

import (
	"crypto/x509"
	"maps"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Webhook receives events over HTTPS, each as one POST.
type Webhook struct {
	URL         string    `json:"url"`                   // https://HOST/PATH, without user and password; {token} in it stands for the token
	Format      string    `json:"format,omitempty"`      // json (default): the whole event; text: {"text": "..."}, as chats take it
	Secret      string    `json:"secret,omitempty"`      // signs each message with HMAC-SHA-256, see docs/notifications.md; whsec_ and base64, or any text
	Token       string    `json:"token,omitempty"`       // sent as Authorization: Bearer, unless the URL holds {token}
	CA          string    `json:"ca,omitempty"`          // PEM: who vouches for the receiver, or its own certificate; default: whom the node trusts
	MinSeverity Severity  `json:"min-severity,omitzero"` // default: everything. The end of an alarm is as severe as the alarm
	Events      []string  `json:"events,omitempty"`      // only these codes, such as BLY3002; default: all
	Timeout     *Duration `json:"timeout,omitempty"`     // for the answer; default 10s
	Disabled    bool      `json:"disabled,omitempty"`    // nothing is sent; what happens meanwhile is sent later, as far as it is kept
	Description string    `json:"description,omitempty"`
}

// AnswerTime returns timeout.
func (w *Webhook) AnswerTime() time.Duration { return set(w.Timeout, Duration(10*time.Second)).D() }

// MailTarget receives events by mail, each as one message.
type MailTarget struct {
	Server      string   `json:"server"`                // host:port that takes mail (SMTP, RFC 5321)
	Security    string   `json:"security,omitempty"`    // starttls (default), tls, or none
	User        string   `json:"user,omitempty"`        // for the server; needs TLS
	Password    string   `json:"password,omitempty"`    // for the server
	CA          string   `json:"ca,omitempty"`          // PEM: who vouches for the server, or its own certificate; default: whom the node trusts
	From        string   `json:"from"`                  // address of the sender
	To          []string `json:"to"`                    // addresses of the receivers
	MinSeverity Severity `json:"min-severity,omitzero"` // default: warning. The end of an alarm is as severe as the alarm
	Events      []string `json:"events,omitempty"`      // only these codes, such as BLY3002; default: all
	Disabled    bool     `json:"disabled,omitempty"`    // nothing is sent; what happens meanwhile is sent later, as far as it is kept
	Description string   `json:"description,omitempty"`
}

// Ways to protect the connection to a mail server.
const (
	MailStartTLS = "starttls"
	MailTLS      = "tls"
	MailPlain    = "none"
)

// Protection returns security.
func (m *MailTarget) Protection() string { return orDefault(m.Security, MailStartTLS) }

// Least returns min-severity.
func (m *MailTarget) Least() Severity {
	if m.MinSeverity == 0 {
		return SeverityWarning
	}
	return m.MinSeverity
}

// WebhookText is the format of webhooks that chats take.
const WebhookText = "text"

// URLToken stands in the URL of a webhook for its token.
const URLToken = "{token}"

func (w *Webhook) secrets() map[string]string {
	m := map[string]string{"secret": w.Secret, "token": w.Token}
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	return m
}

func (w *Webhook) withSecrets(m map[string]string) *Webhook {
	out := *w
	out.Secret, out.Token = m["secret"], m["token"]
	return &out
}

func (m *MailTarget) secrets() map[string]string {
	if m.Password == "" {
		return nil
	}
	return map[string]string{"password": m.Password}
}

func (m *MailTarget) withSecrets(s map[string]string) *MailTarget {
	out := *m
	out.Password = s["password"]
	return &out
}

// OpenNotifiers returns the webhooks and mail targets of a configuration with their
// secrets opened.
func OpenNotifiers(c *Config, open func(object, value string) (string, error)) (map[string]*Webhook, map[string]*MailTarget, error) {
	part := &Config{Webhooks: c.Webhooks, MailTargets: c.MailTargets}
	out, err := mapSecrets(part, nil, func(at place, value string) (string, error) { return open(at.object(), value) })
	return out.Webhooks, out.MailTargets, err
}

// Limits of notifiers.
const (
	notifiersMax     = 100
	notifySecretMax  = 1000
	notifyReceivers  = 50
	eventCodesMax    = 200
	mailAddressBytes = 254 // RFC 5321, 4.5.3.1.3 without the brackets
)

// notifiers checks webhooks and mail targets.
func (v *validator) notifiers() {
	if n := len(v.c.Webhooks); n > notifiersMax {
		v.fault("webhooks", "there are %d; %d are possible", n, notifiersMax)
	}
	if n := len(v.c.MailTargets); n > notifiersMax {
		v.fault("mail-targets", "there are %d; %d are possible", n, notifiersMax)
	}
	for _, id := range slices.Sorted(maps.Keys(v.c.Webhooks)) {
		v.webhook(id, v.c.Webhooks[id])
	}
	for _, id := range slices.Sorted(maps.Keys(v.c.MailTargets)) {
		v.mailTarget(id, v.c.MailTargets[id])
	}
}

func (v *validator) webhook(id string, w *Webhook) {
	p := join("webhooks", id, false)
	v.id(p, id, IDMax)
	if !v.present(p, w != nil) {
		return
	}
	u, err := url.Parse(strings.ReplaceAll(w.URL, URLToken, "token"))
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "" || len(w.URL) > 1024:
		v.fault(p+".url", "%q is no URL of a receiver: write https://HOST/PATH", shorten(w.URL))
	case u.Scheme != "https" && u.Scheme != "http":
		v.fault(p+".url", "%q is neither https nor http", shorten(u.Scheme))
	case u.User != nil:
		v.fault(p+".url", "holds a user: write what the receiver wants into token")
	case strings.Contains(u.Host, "token") && strings.Contains(w.URL, URLToken) && !strings.Contains(u.RequestURI(), "token"):
		v.fault(p+".url", "the token stands in the path, not in the host")
	case u.Scheme == "http" && w.Token != "":
		v.fault(p+".url", "a token needs https")
	}
	if strings.Contains(w.URL, URLToken) && w.Token == "" {
		v.fault(p+".token", "the URL holds %s, and there is none", URLToken)
	}
	v.oneOf(p+".format", w.Format, "json", WebhookText)
	v.notifySecret(p+".secret", w.Secret)
	v.notifySecret(p+".token", w.Token)
	v.authority(p+".ca", w.CA)
	enum(v, p+".min-severity", Severities, w.MinSeverity)
	v.eventCodes(p+".events", w.Events)
	v.optional(p+".timeout", w.Timeout, time.Second, time.Minute)
}

func (v *validator) mailTarget(id string, m *MailTarget) {
	p := join("mail-targets", id, false)
	v.id(p, id, IDMax)
	if !v.present(p, m != nil) {
		return
	}
	if !hostPort(m.Server) {
		v.fault(p+".server", "%q is no host:port", shorten(m.Server))
	}
	v.oneOf(p+".security", m.Protection(), MailStartTLS, MailTLS, MailPlain)
	if m.Protection() == MailPlain && m.User+m.Password != "" {
		v.fault(p+".security", "a password needs %s or %s", MailStartTLS, MailTLS)
	}
	if (m.User == "") != (m.Password == "") {
		v.fault(p+".user", "user and password belong together")
	}
	if len(m.User) > IDMax || strings.ContainsFunc(m.User, func(r rune) bool { return r < ' ' }) {
		v.fault(p+".user", "has at most %d printable characters", IDMax)
	}
	v.notifySecret(p+".password", m.Password)
	v.authority(p+".ca", m.CA)
	v.mailAddress(p+".from", m.From)
	if len(m.To) == 0 || len(m.To) > notifyReceivers {
		v.fault(p+".to", "has %d addresses; 1 to %d are possible", len(m.To), notifyReceivers)
	}
	for _, to := range m.To {
		v.mailAddress(p+".to", to)
	}
	enum(v, p+".min-severity", Severities, m.MinSeverity)
	v.eventCodes(p+".events", m.Events)
}

// mailAddress checks an address without a name: it goes into the envelope.
func (v *validator) mailAddress(path, text string) {
	a, err := mail.ParseAddress(text)
	if err != nil || a.Address != text || len(text) > mailAddressBytes || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		v.fault(path, "%q is no address: write NAME@DOMAIN", shorten(text))
	}
}

// notifySecret checks a secret that may be sealed already.
func (v *validator) notifySecret(path, s string) {
	switch {
	case Sealed(s):
	case s == Redacted:
		v.fault(path, "is the placeholder of a secret: write the secret itself")
	case len(s) > notifySecretMax || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }):
		v.fault(path, "has at most %d printable ASCII characters", notifySecretMax)
	}
}

// authority checks certificates in PEM.
func (v *validator) authority(path, pem string) {
	if pem != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(pem)) {
		v.fault(path, "holds no certificate: write it in PEM")
	}
}

// eventCodes checks a list of codes of events.
func (v *validator) eventCodes(path string, codes []string) {
	if len(codes) > eventCodesMax {
		v.fault(path, "has %d codes; %d are allowed", len(codes), eventCodesMax)
	}
	for _, code := range codes {
		if n, err := strconv.ParseUint(strings.TrimPrefix(code, "BLY"), 10, 16); err != nil || !strings.HasPrefix(code, "BLY") || n < 3000 || n > 9999 {
			v.fault(path, "%q is no code of an event: belay events lists them", shorten(code))
			break
		}
	}
}
