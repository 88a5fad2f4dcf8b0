package indication

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/belay-ha/belay/cim/model"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/cim/query"
	"github.com/belay-ha/belay/engine/cib"
)

// Target is one subscription: which indications go where.
type Target struct {
	Name       string // of the subscription
	FilterName string
	URL        string
	User       string // "" sends no credentials
	Password   string
	CA         string // PEM; "": whom the system trusts

	query  *query.Query
	class  *object.Class // of the query
	events bool          // those of the cluster may be for the target
	client *http.Client
}

// deliverTimeout bounds one delivery.
const deliverTimeout = 20 * time.Second

// NewTarget makes the target of a subscription. schema is that of the cluster's
// namespace: a query over a class that it does not have is an error.
func NewTarget(id, filterName string, f *cib.CIMFilter, d *cib.CIMDestination, schema *object.Schema) (*Target, error) {
	t := &Target{Name: id, FilterName: filterName, URL: d.URL, User: d.User, Password: d.Password, CA: d.CA}
	if u, err := url.Parse(d.URL); err != nil || u.Host == "" {
		return nil, fmt.Errorf("destination of subscription %s: no URL", id)
	}
	var err error
	if t.query, t.class, err = model.CompileFilter(f.Language, f.Query, schema); err != nil {
		return nil, fmt.Errorf("filter %s: %w", filterName, err)
	}
	event := schema.Class("Belay_ClusterEvent")
	t.events = event.IsA(t.class.Name) || t.class.IsA(event.Name)
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.CA != "" {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM([]byte(d.CA)) {
			return nil, fmt.Errorf("destination of subscription %s: its CA is no certificate", id)
		}
	}
	t.client = &http.Client{
		Timeout:       deliverTimeout,
		Transport:     &http.Transport{TLSClientConfig: conf, MaxIdleConns: 2, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("a listener does not redirect") },
	}
	return t, nil
}

// takes reports whether an indication is for the target.
func (t *Target) takes(i *object.Instance) bool {
	return i.Class().IsA(t.class.Name) && t.query.Match(i)
}

// Lifecycle reports whether what becomes of instances may be for the target.
func (t *Target) Lifecycle() bool {
	return t.class.IsA("CIM_InstIndication") || t.class.Is("CIM_Indication")
}
