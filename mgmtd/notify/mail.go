package notify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/mgmtd/outbox"
)

// mailMax bounds one try to give a message to a mail server.
const mailMax = time.Minute

// mailer sends to one mail target.
type mailer struct {
	*cib.MailTarget
	now func() time.Time
}

// Mail is a target of package outbox for a mail target whose secrets are open.
func Mail(name string, m *cib.MailTarget, cluster func() string) (*outbox.Target, error) {
	if _, err := trust(m.CA); err != nil {
		return nil, fmt.Errorf("mail target %s: %w", name, err)
	}
	x := &mailer{MailTarget: m, now: time.Now}
	filter := outbox.Filter{MinSeverity: m.Least(), Codes: m.Events}
	return &outbox.Target{Name: name, Disabled: m.Disabled, Event: func(ev *cib.Event) (outbox.Delivery, error) {
		if !filter.Takes(ev) {
			return nil, nil
		}
		return func(ctx context.Context, id outbox.ID) error { return x.send(ctx, newNotice(cluster(), ev, id)) }, nil
	}}, nil
}

// send makes one try.
func (m *mailer) send(ctx context.Context, n *Notice) error {
	ctx, cancel := context.WithTimeout(ctx, mailMax)
	defer cancel()
	c, err := m.open(ctx)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // Quit has said all
	if err := c.Mail(m.From); err != nil {
		return fmt.Errorf("sender %s: %w", m.From, err)
	}
	var refused error
	taken := 0
	for _, to := range m.To {
		if err := c.Rcpt(to); err != nil {
			refused = errors.Join(refused, fmt.Errorf("receiver %s: %w", to, err))
			continue
		}
		taken++
	}
	// One address that is gone must not keep the others from hearing.
	if taken == 0 {
		return refused
	}
	w, err := c.Data()
	if err == nil {
		if _, err = w.Write(m.message(n)); err == nil {
			err = w.Close()
		}
	}
	if p, ok := errors.AsType[*textproto.Error](err); ok && p.Code/100 == 5 {
		return fmt.Errorf("the mail server takes no such message: %w: %w", err, outbox.ErrRefused)
	}
	if err != nil {
		return fmt.Errorf("give a message to the mail server: %w", err)
	}
	_ = c.Quit()
	return nil
}

// open connects, protects the connection and logs in.
func (m *mailer) open(ctx context.Context) (*smtp.Client, error) {
	host, _, err := net.SplitHostPort(m.Server)
	if err != nil {
		return nil, fmt.Errorf("mail server: %w", err)
	}
	conf, err := trust(m.CA)
	if err != nil {
		return nil, err
	}
	conf.ServerName = host
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.Server)
	if err != nil {
		return nil, fmt.Errorf("mail server: %w", err)
	}
	c, err := m.greet(ctx, conn, host, conf)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mail server %s: %w", m.Server, err), conn.Close())
	}
	return c, nil
}

// greet does what comes before the message: TLS, EHLO, STARTTLS, AUTH.
func (m *mailer) greet(ctx context.Context, conn net.Conn, host string, conf *tls.Config) (*smtp.Client, error) {
	if t, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(t); err != nil {
			return nil, err
		}
	}
	if m.Protection() == cib.MailTLS {
		secure := tls.Client(conn, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = secure
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return nil, err
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		if err := c.Hello(name); err != nil {
			return nil, err
		}
	}
	if m.Protection() == cib.MailStartTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return nil, errors.New("it offers no STARTTLS; nothing was sent")
		}
		if err := c.StartTLS(conf); err != nil {
			return nil, fmt.Errorf("STARTTLS: %w", err)
		}
	}
	if m.User == "" {
		return c, nil
	}
	_, ways := c.Extension("AUTH")
	var auth smtp.Auth = &loginAuth{m.User, m.Password}
	if slices.Contains(strings.Fields(ways), "PLAIN") {
		auth = smtp.PlainAuth("", m.User, m.Password, host)
	}
	if err := c.Auth(auth); err != nil {
		return nil, fmt.Errorf("log-in as %s: %w", m.User, err)
	}
	return c, nil
}

// loginAuth is AUTH LOGIN, which some servers have instead of AUTH PLAIN: they ask for
// the name, then for the password.
type loginAuth struct{ user, password string }

// Start begins it. Without TLS it is refused.
func (*loginAuth) Start(s *smtp.ServerInfo) (string, []byte, error) {
	if !s.TLS {
		return "", nil, errors.New("the connection is not encrypted")
	}
	if !slices.Contains(s.Auth, "LOGIN") {
		return "", nil, errors.New("it offers neither PLAIN nor LOGIN")
	}
	return "LOGIN", nil, nil
}

// Next answers a question.
func (a *loginAuth) Next(question []byte, more bool) ([]byte, error) {
	switch {
	case !more:
		return nil, nil
	case strings.HasPrefix(strings.ToLower(string(question)), "user"):
		return []byte(a.user), nil
	default:
		return []byte(a.password), nil
	}
}

// message is the mail (RFC 5322).
func (m *mailer) message(n *Notice) []byte {
	var b bytes.Buffer
	head := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	head("Date", m.now().UTC().Format(time.RFC1123Z))
	head("From", m.From)
	head("To", strings.Join(m.To, ",\r\n "))
	head("Subject", mime.QEncoding.Encode("utf-8", clip(n.headline(), subjectMax)))
	// A repeat has the same, so that mailboxes keep one.
	sum := sha256.Sum256([]byte(n.ID))
	_, domain, _ := strings.Cut(m.From, "@")
	head("Message-ID", "<belay."+hex.EncodeToString(sum[:16])+"@"+domain+">")
	head("Auto-Submitted", "auto-generated") // RFC 3834: nothing answers it by itself
	head("X-Belay-Code", n.Code)
	head("X-Belay-Cluster", plain(n.Cluster))
	head("MIME-Version", "1.0")
	head("Content-Type", "text/plain; charset=utf-8")
	head("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	_, _ = q.Write([]byte(m.text(n))) // to memory
	_ = q.Close()
	return b.Bytes()
}

const subjectMax = 200

// text is the body of the mail, before it is encoded.
func (m *mailer) text(n *Notice) string {
	var b strings.Builder
	b.WriteString(n.Text + "\n")
	if n.Remedy != "" && n.Severity != cib.SeverityCleared {
		b.WriteString("\nWhat to do: " + n.Remedy + "\n")
	}
	b.WriteString("\n")
	for _, row := range [][2]string{
		{"Cluster", n.Cluster},
		{"Severity", n.Severity.String()},
		{"Event", n.Code + " " + n.Title},
		{"Clears", n.Clears},
		{"Node", n.Node},
		{"Resource", n.Resource},
		{"Device", n.Device},
		{"Time", n.Time.Format(time.RFC3339)},
		{"Seen by", n.Source},
		{"Cause", n.Cause},
	} {
		if row[1] != "" {
			fmt.Fprintf(&b, "%-9s %s\n", row[0]+":", row[1])
		}
	}
	return strings.ReplaceAll(b.String(), "\n", "\r\n")
}

// clip shortens a text, between two characters.
func clip(text string, most int) string {
	r := []rune(text)
	if len(r) <= most {
		return text
	}
	return string(r[:most-1]) + "…"
}
