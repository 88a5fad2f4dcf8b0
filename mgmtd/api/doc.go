// Package api is the REST face of the management daemon: HTTP handlers that decode,
// ask, and encode. What may be done is decided in mgmtd/change, who asks is found out
// in mgmtd/auth, and what there is to see stands in mgmtd/view.
//
// Every operation is registered once, with its types: the OpenAPI description in
// docs/openapi.json, the page at /docs and the checks of requests come from that.
package api
