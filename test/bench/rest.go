package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// rest measures the management daemon on a cluster of belay dev: one daemon of its
// own without limits, and load from this process over loopback.
func rest(ctx context.Context, r *Report) (err error) {
	bin := os.Getenv("BELAY_BIN")
	dir, err := os.MkdirTemp("/tmp", "belay-rest-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	belay := filepath.Join(bin, "belay")
	cluster := filepath.Join(dir, "c")
	if out, err := exec.CommandContext(ctx, belay, "dev", "--detach", "--dir", cluster).CombinedOutput(); err != nil {
		return fmt.Errorf("belay dev: %w: %s", err, out)
	}
	defer func() {
		out, serr := exec.CommandContext(context.WithoutCancel(ctx), belay, "dev", "--stop", "--dir", cluster).CombinedOutput()
		if serr != nil {
			err = errors.Join(err, fmt.Errorf("belay dev --stop: %w: %s", serr, out))
		}
	}()
	l, err := newLoad(ctx, bin, dir, cluster)
	if err != nil {
		return err
	}
	defer l.stop()
	for _, measure := range []func(context.Context, *Report) error{l.changes, l.single, l.list, l.streams} {
		if err := measure(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// restLoad is who asks.
type restLoad struct {
	cmd       *exec.Cmd
	web       *http.Client
	transport *http.Transport
	url       string
	token     string
}

const loadAddress = "127.0.0.1:17449"

func newLoad(ctx context.Context, bin, dir, cluster string) (*restLoad, error) {
	var dev struct {
		Users []struct{ Name, Password string }
	}
	b, err := os.ReadFile(filepath.Join(cluster, "dev.json"))
	if err == nil {
		err = json.Unmarshal(b, &dev)
	}
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(filepath.Join(cluster, "ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	l := &restLoad{url: "https://" + loadAddress}
	// As the daemons that programs use: one connection, many requests one after the other.
	l.transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, MaxIdleConnsPerHost: 64}
	l.web = &http.Client{Transport: l.transport}
	run := filepath.Join(cluster, "n1", "run")
	l.cmd = exec.CommandContext(ctx, filepath.Join(bin, "belay-mgmtd"), "--socket", filepath.Join(run, "belayd.sock"), "--pam-socket", filepath.Join(run, "pam.sock"),
		"--state-dir", filepath.Join(dir, "mgmtd"), "--listen", loadAddress, "--cim-listen", "", "--rate", "0", "--connections-per-address", "4000", "--log-level", "error")
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	password := ""
	for _, u := range dev.Users {
		if u.Name == "admin" {
			password = u.Password
		}
	}
	in := fmt.Sprintf(`{"user":"admin","password":%q}`, password)
	for {
		var out struct{ Token string }
		err := l.ask(ctx, http.MethodPost, "/v1/session", in, &out)
		if err == nil {
			l.token = out.Token
			return l, nil
		}
		select {
		case <-ctx.Done():
			l.stop()
			return nil, err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (l *restLoad) stop() {
	l.transport.CloseIdleConnections()
	_ = l.cmd.Process.Kill()
	_ = l.cmd.Wait()
}

// ask makes one request and reads the answer whole.
func (l *restLoad) ask(ctx context.Context, method, path, in string, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, l.url+path, strings.NewReader(in))
	if err != nil {
		return err
	}
	if in != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+l.token)
	req.Header.Set("If-Match", "*")
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := l.web.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(b, out)
	}
	return err
}

// cpu is the processor time that the daemon has used.
func (l *restLoad) cpu() (time.Duration, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(l.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, err1 := strconv.Atoi(f[11]) // utime and stime, in ticks of 10 ms, see proc_pid_stat(5)
	system, err2 := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// single measures reads of one resource against the daemon's own processor time.
func (l *restLoad) single(ctx context.Context, r *Report) error {
	const callers, span = 8, 4 * time.Second
	before, err := l.cpu()
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	counts, errs := make([]int, callers), make([]error, callers)
	end := time.Now().Add(span)
	for i := range callers {
		work.Go(func() {
			for time.Now().Before(end) && errs[i] == nil {
				errs[i] = l.ask(ctx, http.MethodGet, "/v1/resources/web", "", nil)
				counts[i]++
			}
		})
	}
	work.Wait()
	after, err := l.cpu()
	if err = errors.Join(append(errs, err)...); err != nil {
		return err
	}
	n := 0
	for _, c := range counts {
		n += c
	}
	r.Add(Figure{Name: "REST: authenticated reads of one resource, per core", Value: float64(n) / (after - before).Seconds(), Unit: "1/s", Goal: AtLeast(5000), Note: "over TLS 1.3, by the daemon's own processor time"})
	return nil
}

// changes measures small changes of the configuration.
func (l *restLoad) changes(ctx context.Context, r *Report) error {
	var times []float64
	for i := range 40 {
		began := time.Now()
		if err := l.ask(ctx, http.MethodPatch, "/v1/config/resource/web", fmt.Sprintf(`{"description":"change %d"}`, i), nil); err != nil {
			return err
		}
		times = append(times, float64(time.Since(began).Microseconds())/1000)
	}
	r.Add(Figure{Name: "REST: a change, median", Value: Median(times), Unit: "ms", Goal: AtMost(50), Note: "rights, simulation, audit, commit on 3 nodes of one machine"})
	return nil
}

// list measures a list of 1000 resources.
func (l *restLoad) list(ctx context.Context, r *Report) error {
	resources := map[string]any{}
	for i := range 997 {
		resources[fmt.Sprintf("r%04d", i)] = map[string]any{"agent": "belay:dummy", "meta": map[string]any{"target-role": "Stopped"}}
	}
	b, err := json.Marshal(map[string]any{"resources": resources})
	if err != nil {
		return err
	}
	if err := l.ask(ctx, http.MethodPatch, "/v1/config", string(b), nil); err != nil {
		return err
	}
	var list struct {
		Total int
	}
	quiet := 0
	for quiet < 3 { // until probes are over
		var ops struct{ Total int }
		if err := errors.Join(l.ask(ctx, http.MethodGet, "/v1/resources?limit=1000", "", &list), l.ask(ctx, http.MethodGet, "/v1/operations", "", &ops)); err != nil {
			return err
		}
		if list.Total >= 1000 && ops.Total == 0 {
			quiet++
		} else {
			quiet = 0
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
	var times []float64
	for range 300 {
		began := time.Now()
		if err := l.ask(ctx, http.MethodGet, "/v1/resources?limit=1000", "", nil); err != nil {
			return err
		}
		times = append(times, float64(time.Since(began).Microseconds())/1000)
	}
	slices.Sort(times)
	r.Add(Figure{Name: "REST: a list of 1000 resources, 99th percentile", Value: times[len(times)*99/100], Unit: "ms", Goal: AtMost(20), Note: fmt.Sprintf("%d rows; median %.1f ms", list.Total, Median(times))})
	return nil
}

// streams measures the memory of event streams that say nothing.
func (l *restLoad) streams(ctx context.Context, r *Report) error {
	const clients = 1000
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range clients {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+"/v1/events?after=18446744073709551615", http.NoBody)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+l.token)
		req.Header.Set("Accept", "text/event-stream")
		resp, err := l.web.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("a stream: %s", resp.Status)
		}
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(l.cmd.Process.Pid) + "/status")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		return err
	}
	r.Add(Figure{Name: "REST: memory with 1000 event streams", Value: float64(kb) / 1024, Unit: "MB", Goal: AtMost(150), Note: "a connection each; 1000 resources"})
	return nil
}
