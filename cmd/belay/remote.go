package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/engine/pki"
)

// With --server the commands ask a management daemon instead of the engine's socket.
// It answers the same requests in the same shapes, so that everything else is as
// before; what is kept of a log-in is the session's token, and whom to trust.

// login is what is kept of a log-in to one server.
type login struct {
	Token   string    `json:"token"`
	User    string    `json:"user"`
	Expires time.Time `json:"expires"`
	// CA holds the certificates that the server's must be signed with, PEM; "": those
	// that the system trusts.
	CA string `json:"ca,omitempty"`
}

// loginsFile is where log-ins are kept.
func loginsFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("where log-ins are kept: %w", err)
	}
	return filepath.Join(dir, "belay", "logins.json"), nil
}

func loadLogins() (map[string]login, error) {
	out := map[string]login{}
	file, err := loginsFile()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return out, nil
}

// saveLogin keeps a log-in.
func saveLogin(server string, l *login) error {
	all, err := loadLogins()
	if err != nil {
		return err
	}
	all[server] = *l
	file, err := loginsFile()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("keep the log-in: %w", err)
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("keep the log-in: %w", err)
	}
	return pki.WriteFile(file, append(b, '\n'), 0o600)
}

// serverName brings an address into one form: https://HOST:PORT.
func serverName(text string) (string, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return "", usage("--server %s: write https://HOST:PORT", text)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "7443")
	}
	return "https://" + u.Host, nil
}

// connect makes the client of a server.
func (a *app) connect() error {
	name, err := serverName(a.remote)
	if err != nil {
		return err
	}
	a.remote = name
	all, err := loadLogins()
	if err != nil {
		return failure{err}
	}
	l := all[a.remote]
	token := os.Getenv("BELAY_TOKEN")
	if token == "" {
		token = l.Token
	}
	transport, err := a.transport(l.CA)
	if err != nil {
		return err
	}
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	a.engine = client.NewRemote(a.remote, transport, header)
	return nil
}

// transport trusts whom the flag says, else whom the log-in said, else the system.
func (a *app) transport(pem string) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.caFile != "" {
		b, err := os.ReadFile(a.caFile)
		if err != nil {
			return nil, failure{err}
		}
		pem = string(b)
	}
	if pem != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(pem)) {
			return nil, failure{errors.New("there is no certificate in what is to be trusted")}
		}
	}
	return &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}, nil
}

func loginCmd(a *app) *cobra.Command {
	var user, fingerprint string
	var stdin bool
	c := command("login", "Log in to a management daemon, for --server", `  belay --server https://n1:7443 login --user anna
  belay --server https://n1:7443 status
  export BELAY_SERVER=https://n1:7443`, 0, func(c *cobra.Command, _ []string) error {
		if a.remote == "" {
			return usage("login needs --server https://HOST:PORT or $BELAY_SERVER")
		}
		ca, err := a.trust(c.Context(), fingerprint)
		if err != nil {
			return err
		}
		if user == "" {
			if user, err = a.question("User: "); err != nil {
				return err
			}
		}
		password, err := a.password(stdin)
		if err != nil {
			return err
		}
		l, err := a.logIn(c.Context(), ca, user, password, stdin)
		if err != nil {
			return err
		}
		if err := saveLogin(a.remote, l); err != nil {
			return failure{err}
		}
		a.say("Logged in to %s as %s, until %s.", a.remote, l.User, l.Expires.Local().Format(time.DateTime))
		return nil
	})
	c.Flags().StringVar(&user, "user", "", "`name` of the user")
	c.Flags().BoolVar(&stdin, "password-stdin", false, "read the password, and what else is asked, from the standard input, a line each")
	c.Flags().StringVar(&fingerprint, "fingerprint", "", "trust the authority with this `fingerprint` without asking; belayd's log and belay cluster status on a node tell it")
	return c
}

func logoutCmd(a *app) *cobra.Command {
	return command("logout", "End the session with a management daemon", "  belay --server https://n1:7443 logout", 0, func(c *cobra.Command, _ []string) error {
		if a.remote == "" {
			return usage("logout needs --server https://HOST:PORT or $BELAY_SERVER")
		}
		all, err := loadLogins()
		if err != nil {
			return failure{err}
		}
		l := all[a.remote]
		if l.Token == "" {
			a.say("You were not logged in to %s.", a.remote)
			return nil
		}
		// Here it is forgotten in any case; whom to trust is not.
		if err := saveLogin(a.remote, &login{User: l.User, CA: l.CA}); err != nil {
			return failure{err}
		}
		_, err = a.rest(c.Context(), l.CA, http.MethodDelete, "/v1/session", l.Token, nil)
		if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeLogin {
			err = nil // it had ended by itself
		}
		return err
	})
}

// sessionAnswer is what a management daemon answers to a log-in: a session, or a
// challenge with what else is to be answered.
type sessionAnswer struct {
	Token   string `json:"token"`
	Session struct {
		User    string    `json:"user"`
		Expires time.Time `json:"expires"`
	} `json:"session"`
	Challenge *struct {
		ID        string   `json:"id"`
		Messages  []string `json:"messages"`
		Questions []struct {
			Text   string `json:"text"`
			Hidden bool   `json:"hidden"`
		} `json:"questions"`
	} `json:"challenge"`
}

// logIn begins a session. What the server asks besides the password is asked here; with
// stdin the answers are the lines behind the password.
func (a *app) logIn(ctx context.Context, ca, user, password string, stdin bool) (*login, error) {
	path, in := "/v1/session", map[string]any{"user": user, "password": password}
	for {
		body, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		b, err := a.rest(ctx, ca, http.MethodPost, path, "", body)
		if err != nil {
			return nil, err
		}
		var out sessionAnswer
		if err := json.Unmarshal(b, &out); err != nil || out.Token == "" && out.Challenge == nil {
			return nil, failure{fmt.Errorf("the answer of %s is not that of a management daemon", a.remote)}
		}
		if out.Challenge == nil {
			return &login{Token: out.Token, User: out.Session.User, Expires: out.Session.Expires, CA: ca}, nil
		}
		for _, m := range out.Challenge.Messages {
			_, _ = fmt.Fprintln(a.err, printable(m))
		}
		answers := []string{}
		for _, q := range out.Challenge.Questions {
			text, err := a.answer(printable(q.Text), q.Hidden, stdin)
			if err != nil {
				return nil, err
			}
			answers = append(answers, text)
		}
		path, in = "/v1/session/answers", map[string]any{"id": out.Challenge.ID, "answers": answers}
	}
}

// printable is a text without what would do something to the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text)
}

// restMax bounds a request; a refused log-in takes a while on purpose.
const restMax = 45 * time.Second

// rest asks for what the engine's socket does not have.
func (a *app) rest(ctx context.Context, ca, method, path, token string, in []byte) ([]byte, error) {
	transport, err := a.transport(ca)
	if err != nil {
		return nil, err
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, restMax)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, a.remote+path, bytes.NewReader(in))
	if err != nil {
		return nil, failure{err}
	}
	req.Header.Set("User-Agent", "belay/"+version)
	if len(in) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, api.NewProblem(api.CodeUnreachable, "the management daemon at "+a.remote+" does not answer: "+err.Error())
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, api.NewProblem(api.CodeUnreachable, "the answer of "+a.remote+" broke off: "+err.Error())
	}
	if resp.StatusCode/100 == 2 {
		return b, nil
	}
	p := &api.Problem{}
	if json.Unmarshal(b, p) != nil || p.Code == "" {
		return nil, api.NewProblem(api.CodeUnreachable, fmt.Sprintf("%s answered %s", a.remote, resp.Status))
	}
	return nil, p
}

// restGet reads what the management daemon answers under a path, as who is logged in.
func (a *app) restGet(ctx context.Context, path string, into any) error {
	all, err := loadLogins()
	if err != nil {
		return failure{err}
	}
	l := all[a.remote]
	token := cmp.Or(os.Getenv("BELAY_TOKEN"), l.Token)
	b, err := a.rest(ctx, l.CA, http.MethodGet, path, token, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return api.NewProblem(api.CodeUnreachable, "the answer of "+a.remote+" can't be read: "+err.Error())
	}
	return nil
}

// trust finds out whom to trust: the file of the flag, the system's authorities, or
// the cluster's own, which a person has to know by its fingerprint.
func (a *app) trust(ctx context.Context, fingerprint string) (string, error) {
	if a.caFile != "" {
		b, err := os.ReadFile(a.caFile)
		if err != nil {
			return "", failure{err}
		}
		return string(b), nil
	}
	ctx, cancel := context.WithTimeout(ctx, restMax)
	defer cancel()
	u, err := url.Parse(a.remote)
	if err != nil {
		return "", failure{err}
	}
	d := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}} //nolint:gosec // nothing is sent; the chain is judged below
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return "", api.NewProblem(api.CodeUnreachable, "the management daemon at "+a.remote+" does not answer: "+err.Error())
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	tc, ok := conn.(*tls.Conn)
	if !ok {
		return "", failure{errors.New("not a TLS connection")}
	}
	chain := tc.ConnectionState().PeerCertificates
	pool := x509.NewCertPool()
	for _, c := range chain[1:] {
		pool.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: u.Hostname(), Intermediates: pool}); err == nil && fingerprint == "" {
		return "", nil
	}
	// The last of the chain is who signed: the cluster's authority, which stays when
	// certificates are renewed.
	anchor := chain[len(chain)-1]
	shown := pki.Fingerprint(anchor)
	switch {
	case fingerprint == shown:
	case fingerprint != "":
		return "", failure{fmt.Errorf("%s shows an authority with the fingerprint %s, not %s: this is not the cluster you mean, or somebody is in between", a.remote, shown, fingerprint)}
	case !a.answers:
		return "", failure{fmt.Errorf("nobody knows the authority of %s: name it with --ca-file FILE or --fingerprint %s", a.remote, shown)}
	default:
		yes, err := a.question(fmt.Sprintf("The authority of %s is not known here. Its fingerprint is\n  %s\nIs that the cluster's? (yes/no) ", a.remote, shown))
		if err != nil {
			return "", err
		}
		if yes != "yes" {
			return "", failure{errors.New("not trusted; nothing was sent")}
		}
	}
	return string(pki.EncodeCert(anchor)), nil
}

// question asks a person.
func (a *app) question(text string) (string, error) {
	_, _ = fmt.Fprint(a.err, text)
	line, err := readLine(a.in)
	if err != nil {
		return "", failure{fmt.Errorf("no answer: %w", err)}
	}
	return line, nil
}

// readLine reads a line byte by byte, so that what follows stays for the next reader.
func readLine(r io.Reader) (string, error) {
	var b []byte
	one := make([]byte, 1)
	for len(b) < 4096 {
		n, err := r.Read(one)
		if n == 1 {
			if one[0] == '\n' {
				return strings.TrimRight(string(b), "\r"), nil
			}
			b = append(b, one[0])
			continue
		}
		if err != nil && len(b) > 0 {
			return string(b), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", errors.New("the line is too long")
}

// password asks for a password without showing it.
func (a *app) password(stdin bool) (string, error) { return a.answer("Password: ", true, stdin) }

// answer asks something of which the answer may have to be hidden.
func (a *app) answer(question string, hidden, stdin bool) (string, error) {
	f, ok := a.in.(*os.File)
	if stdin || !ok || !a.answers {
		line, err := readLine(a.in)
		if err != nil {
			return "", failure{fmt.Errorf("no answer to %q: %w", strings.TrimRight(question, ": "), err)}
		}
		return line, nil
	}
	if !hidden {
		return a.question(question)
	}
	_, _ = fmt.Fprint(a.err, question)
	b, err := term.ReadPassword(int(f.Fd()))
	_, _ = fmt.Fprintln(a.err)
	if err != nil {
		return "", failure{fmt.Errorf("no answer to %q: %w", strings.TrimRight(question, ": "), err)}
	}
	return string(b), nil
}
