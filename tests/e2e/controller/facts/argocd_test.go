// Package facts shows what Argo CD's own packages make of tenantry's bytes: its protocol client, its plugin generator,
// its selector and its templates. Each test holds one fact that tenantry relies on, so that a raised version of Argo CD
// tells by name which of them changed. tests/e2e/test_facts.py starts the service and runs the tests.
package facts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/argoproj/argo-cd/v3/applicationset/controllers/template"
	"github.com/argoproj/argo-cd/v3/applicationset/generators"
	"github.com/argoproj/argo-cd/v3/applicationset/utils"
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const path = "/api/v1/getparams.execute"

func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard)
	os.Exit(m.Run())
}

// plugin is what the ConfigMap and the Secret of a plugin say.
type plugin struct{ url, reference, token, timeout string }

// tenantry returns the service that tests/e2e/test_facts.py runs on a table with two tenants that are "active",
// acme and beta, and many that are "bulk".
func tenantry(t *testing.T) plugin {
	return at(setting(t, "TENANTRY_URL"), setting(t, "TENANTRY_TOKEN"))
}

func at(url, token string) plugin {
	return plugin{url: url, reference: "$plugin:token", token: token}
}

func setting(t *testing.T, name string) string {
	t.Helper()
	found := os.Getenv(name)
	if found == "" {
		t.Fatalf("%s is not set: run tests/e2e/test_facts.py", name)
	}
	return found
}

// Get lets a plugin stand for the part of the Kubernetes API that the generator reads.
func (p plugin) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	switch found := into.(type) {
	case *corev1.ConfigMap:
		found.Data = map[string]string{"baseUrl": p.url, "token": p.reference}
		if p.timeout != "" {
			found.Data["requestTimeout"] = p.timeout
		}
	case *corev1.Secret:
		found.Data = map[string][]byte{"token": []byte(p.token)}
	default:
		return fmt.Errorf("the plugin generator reads %T %s", into, key)
	}
	return nil
}

// cluster is a plugin as the client that the generator wants. What it does not have to read, it cannot.
type cluster struct {
	client.Client
	plugin
}

func (c cluster) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	return c.plugin.Get(ctx, key, into, options...)
}

// set is what differs between the ApplicationSets of the tests.
type set struct {
	plugin     plugin
	input      map[string]string
	selector   map[string]string
	goTemplate bool
	options    []string
	shows      string
}

func (s set) applicationSet() v1alpha1.ApplicationSet {
	asks := &v1alpha1.PluginGenerator{ConfigMapRef: v1alpha1.PluginConfigMapRef{Name: "plugin"}}
	for name, value := range s.input {
		if asks.Input.Parameters == nil {
			asks.Input.Parameters = v1alpha1.PluginParameters{}
		}
		asks.Input.Parameters[name] = apiextensionsv1.JSON{Raw: []byte(value)}
	}
	generator := v1alpha1.ApplicationSetGenerator{Plugin: asks}
	if s.selector != nil {
		generator.Selector = &metav1.LabelSelector{MatchLabels: s.selector}
	}
	made := v1alpha1.ApplicationSet{}
	made.Name = "facts"
	made.Spec.GoTemplate = s.goTemplate
	made.Spec.GoTemplateOptions = s.options
	made.Spec.Generators = []v1alpha1.ApplicationSetGenerator{generator}
	made.Spec.Template.Name = "app"
	made.Spec.Template.Annotations = map[string]string{"shown": s.shows}
	return made
}

// ask lets Argo CD ask the plugin and render the Applications. It returns what each of them shows, in the order of the
// answer.
func (s set) ask() ([]string, error) {
	kubernetes := cluster{plugin: s.plugin}
	known := map[string]generators.Generator{"Plugin": generators.NewPluginGenerator(kubernetes, "argocd")}
	log := logrus.WithField("applicationset", "facts")
	applications, _, err := template.GenerateApplications(log, s.applicationSet(), known, &utils.Render{}, kubernetes)
	shown := []string{}
	for _, application := range applications {
		shown = append(shown, application.Annotations["shown"])
	}
	return shown, err
}

// showing asks tenantry for the active tenants.
func showing(t *testing.T, goTemplate bool, shows string) set {
	return set{plugin: tenantry(t), input: map[string]string{"status": `"active"`}, goTemplate: goTemplate, shows: shows}
}

// expect fails unless the Applications show this.
func (s set) expect(t *testing.T, wanted ...string) {
	t.Helper()
	shown, err := s.ask()
	if err != nil {
		t.Fatalf("it is an error: %v", err)
	}
	if fmt.Sprintf("%q", shown) != fmt.Sprintf("%q", wanted) {
		t.Fatalf("the Applications show %q and not %q", shown, wanted)
	}
}

// expectError fails unless Argo CD says exactly this.
func (s set) expectError(t *testing.T, wanted string) {
	t.Helper()
	shown, err := s.ask()
	if err == nil {
		t.Fatalf("it is no error, and shows %q", shown)
	}
	if err.Error() != wanted {
		t.Fatalf("Argo CD says\n  %s\nand not\n  %s", err, wanted)
	}
}

// serve answers every request with these bytes.
func serve(t *testing.T, status int, body string) plugin {
	return serveBy(t, func(response http.ResponseWriter, _ *http.Request) {
		response.WriteHeader(status)
		_, _ = io.WriteString(response, body)
	})
}

func serveBy(t *testing.T, handler http.HandlerFunc) plugin {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return at(server.URL, "token")
}

// items makes an answer of ours, but with other parameter sets.
func items(parameterSets string) string {
	return `{"output":{"parameters":[` + parameterSets + `]}}`
}

// answer returns the bytes with which tenantry answers for the active tenants.
func answer(t *testing.T) string {
	t.Helper()
	body := []byte(`{"applicationSetName":"facts","input":{"parameters":{"status":"active"}}}`)
	request, err := http.NewRequest(http.MethodPost, tenantry(t).url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+tenantry(t).token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	found, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !json.Valid(found) {
		t.Fatalf("tenantry answers %d: %s (%v)", response.StatusCode, found, err)
	}
	return string(found)
}
