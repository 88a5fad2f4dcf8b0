package pacemaker

import (
	"strings"
	"testing"
)

// TestContainerDigests: a container that was started with other parameters than the
// bundle has now is to be started anew; the digest of the others says that they go on.
// The digests were computed by crm_simulate 2.1.5.
func TestContainerDigests(t *testing.T) {
	const bundle = `<bundle id="box"><podman image="localhost/web:1" replicas="2" options="--log-driver=journald"/>
		<network ip-range-start="192.0.2.10" host-netmask="24"><port-mapping id="p" port="80"/></network>
		<storage><storage-mapping id="s" source-dir="/etc/hosts" target-dir="/etc/hosts" options="ro"/>
		<storage-mapping id="r" source-dir-root="/srv" target-dir="/var/www" options="rw,Z"/></storage>` + web + `</bundle>`
	for _, c := range []struct {
		image string
		want  string
	}{{"web:1", ""}, {"web:2", changed}} {
		doc := wrap("", strings.Replace(bundle, "web:1", c.image, 1), "", "")
		doc = strings.Replace(doc, `expected="member"/>`, `expected="member"><lrm id="1"><lrm_resources>
			<lrm_resource id="box-podman-1" type="podman" class="ocf" provider="heartbeat"><lrm_rsc_op id="o" operation="start" interval="0" call-id="3" rc-code="0" op-status="0"
			transition-key="1:1:0:x" op-digest="`+boxDigest+`"/></lrm_resource></lrm_resources></lrm></node_state>`, 1)
		h := imported(t, doc).Snapshot.Status.Histories["n1"]["box-podman-1"]
		if h == nil || len(h.Ops) != 1 || h.Ops[0].Digest != c.want {
			t.Errorf("%s: %+v, want the digest %q", c.image, h, c.want)
		}
	}
}

// boxDigest is Pacemaker's digest of the second container of the bundle above.
const boxDigest = "b1d87a81f00c9afdcecf73d65172ecd0"
