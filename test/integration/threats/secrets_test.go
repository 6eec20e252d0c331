package threats_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// Three machines pair: one with a PIN, one with a QR code, and a third that the test plays. Agents
// and gateway crash and print all goroutines. Then the test searches for the secrets of the run in
// all values that etcd ever contained, in all logs and in all metrics.
func TestSecretsAreNowhereButInTheirSecrets(t *testing.T) {
	f := newFleet(t)
	code, object := f.IssuePIN("kiosk")
	home, record := f.etcdKeys(object)
	canaries := append(codeCanaries(code, home, record), f.exchangeAsAgent("played"))
	uri, invited := f.invite("press")
	canaries = append(canaries, f.invitationCanaries(uri, invited)...)
	press, err := system.StartAgentAt(f.Namespace+"-press", "", "--pair", uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(press.Stop)
	f.Approve(f.AwaitRequest(invited.Name).Name)
	f.AwaitOnline("press")
	f.crash(press)
	agent := f.StartAgent("kiosk", "--code", code)
	request := f.AwaitRequest(object.Name)
	f.crash(agent)
	f.crash(system.Gateways[0].Process)
	if err := system.StartGateway(0); err != nil {
		t.Fatal(err)
	}
	agent = f.StartAgent("kiosk") // it resumes the pairing
	f.Approve(request.Name)
	f.AwaitOnline("kiosk")
	f.AwaitEnded(f.CreateDispatch("kiosk", "echo", map[string]any{"n": 1}))
	agent.Stop()
	agent = f.StartAgent("kiosk")
	f.AwaitEnded(f.CreateDispatch("kiosk", "echo", map[string]any{"n": 2}))
	f.crash(agent)
	canaries = append(canaries, f.privateKeys("kiosk")...)

	places := f.readMetrics()
	f.addLogs(places)
	// etcd comes last, because the API server does not tolerate the loss of its etcd well.
	for key, values := range f.readEtcd() {
		places["etcd "+key] = values
	}
	searchSecrets(t, canaries, places)
}

// crash ends a process as a bug would, with its goroutines in the log.
func (f *fleet) crash(p *stack.Process) {
	f.Helper()
	if err := p.Signal(syscall.SIGQUIT); err != nil {
		f.Fatal(err)
	}
	if _, err := p.Wait(f.BoundedContext()); err != nil {
		f.Fatal(err)
	}
	if !strings.Contains(p.Output(), "goroutine 1 ") {
		f.Errorf("%s left no goroutines behind: %s", p.Name, p.Tail(3))
	}
}

// searchSecrets fails the test for every secret outside its home. It also fails when a secret is not found
// at its home, because then the search does not work.
func searchSecrets(t *testing.T, canaries []canary, places map[string][][]byte) {
	t.Helper()
	bytesSeen := 0
	for _, c := range canaries {
		atHome := false
		for place, texts := range places {
			for _, text := range texts {
				bytesSeen += len(text)
				if !c.isIn(text) {
					continue
				}
				if c.home != "" && strings.HasPrefix(place, "etcd "+c.home) {
					atHome = true
					continue
				}
				t.Errorf("the %s is in %s", c.name, place)
			}
		}
		if c.home != "" && !atHome {
			t.Errorf("the %s was not found in %s: the search does not work", c.name, c.home)
		}
	}
	t.Logf("searched for %d secrets in %d places, %d bytes", len(canaries), len(places), bytesSeen/len(canaries))
}

// privateKeys returns the canaries of the private keys of the machine, the gateway and the CAs.
func (f *fleet) privateKeys(node string) []canary {
	f.Helper()
	text, err := os.ReadFile(filepath.Join(system.IdentityDir(f.Namespace+"-"+node), "identity.pem"))
	if err != nil {
		f.Fatal(err)
	}
	device := f.keyCanary("private key of the machine", "", text)
	if !device.isIn(text) {
		f.Error("the key of the machine is not found in its own file: the search does not work")
	}
	canaries := []canary{device}
	for _, name := range []string{v1alpha1.GatewayTLSSecret, v1alpha1.DeviceIssuer, v1alpha1.ServerIssuer} {
		secret := testfleet.Read(f, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: name}})
		// cert-manager keeps a new key in a separate Secret until the certificate is issued.
		canaries = append(canaries, f.keyCanary("private key of "+name, "/registry/secrets/"+v1alpha1.SystemNamespace+"/", secret.Data[corev1.TLSPrivateKeyKey]))
	}
	return canaries
}

func (f *fleet) keyCanary(name, home string, text []byte) canary {
	f.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		f.Fatalf("%s is no PEM", name)
	}
	var key any
	var err error
	if key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		key, err = x509.ParseECPrivateKey(block.Bytes)
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		f.Fatalf("%s is a %T: %v", name, key, err)
	}
	c, err := newKeyCanary(name, home, private)
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// readMetrics returns the metrics of the processes and of the API server.
func (f *fleet) readMetrics() map[string][][]byte {
	f.Helper()
	access := system.Cluster.AdminConfig()
	server, err := rest.HTTPClientFor(access)
	if err != nil {
		f.Fatal(err)
	}
	places := map[string][][]byte{"metrics of the API server": {f.fetchPage(server, strings.TrimRight(access.Host, "/")+"/metrics")}}
	for name, address := range metrics {
		places["metrics of the "+name] = [][]byte{f.fetchPage(http.DefaultClient, "http://"+address+"/metrics")}
	}
	return places
}

func (f *fleet) fetchPage(c *http.Client, url string) []byte {
	f.Helper()
	request, err := http.NewRequestWithContext(f.BoundedContext(), http.MethodGet, url, nil)
	if err != nil {
		f.Fatal(err)
	}
	response, err := c.Do(request)
	if err != nil {
		f.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || len(body) == 0 {
		f.Fatalf("%s answered %s, %v", url, response.Status, err)
	}
	return body
}

// addLogs adds the logs of all processes of this package's run.
func (f *fleet) addLogs(places map[string][][]byte) {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join(system.Dir, "*.log"))
	more, _ := filepath.Glob(filepath.Join(system.Cluster.State(), "*", "*.log"))
	if err != nil || len(paths) < 3 {
		f.Fatalf("logs %v, %v; want those of the controller, the gateway and the agent", paths, err)
	}
	for _, path := range append(paths, more...) {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		places["log "+path] = [][]byte{text}
	}
}

// readEtcd returns every value of every key that the store still contains, deleted ones too.
func (f *fleet) readEtcd() map[string][][]byte {
	f.Helper()
	if err := system.Cluster.StopComponent(f.Context(), controlplane.Etcd); err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(system.Cluster.State(), "etcd", "member", "snap", "db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: 10 * time.Second})
	if err != nil {
		f.Fatal(err)
	}
	values := map[string][][]byte{}
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("key")).ForEach(func(_, record []byte) error {
			key, value, err := keyValue(record)
			values[key] = append(values[key], value)
			return err
		})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		f.Fatal(err)
	}
	if err := system.Cluster.StartComponent(f.Context(), controlplane.Etcd); err != nil {
		f.Fatal(err)
	}
	if err := system.Cluster.WaitReady(f.BoundedContext()); err != nil {
		f.Fatal(err)
	}
	return values
}

// keyValue decodes mvccpb.KeyValue: field 1 is the key, field 5 the value.
func keyValue(record []byte) (key string, value []byte, err error) {
	for len(record) > 0 {
		number, kind, n := protowire.ConsumeTag(record)
		if n < 0 {
			return "", nil, fmt.Errorf("read record of etcd: %w", protowire.ParseError(n))
		}
		record = record[n:]
		size := protowire.ConsumeFieldValue(number, kind, record)
		if size < 0 {
			return "", nil, fmt.Errorf("read record of etcd: %w", protowire.ParseError(size))
		}
		if content, n := protowire.ConsumeBytes(record); n > 0 && number == 1 {
			key = string(content)
		} else if n > 0 && number == 5 {
			value = append([]byte(nil), content...)
		}
		record = record[size:]
	}
	return key, value, nil
}
