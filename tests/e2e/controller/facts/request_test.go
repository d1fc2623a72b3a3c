package facts

import (
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v3/applicationset/controllers"
	"github.com/argoproj/argo-cd/v3/applicationset/generators"
	protocol "github.com/argoproj/argo-cd/v3/applicationset/services/plugin"
)

// request is what arrived at a plugin.
type request struct {
	line, body string
	header     http.Header
}

// arriving returns what Argo CD sends for a set; url may add to the plugin's address.
func arriving(t *testing.T, asking set, url string) request {
	t.Helper()
	var found request
	listening := serveBy(t, func(response http.ResponseWriter, got *http.Request) {
		body, _ := io.ReadAll(got.Body)
		found = request{got.Method + " " + got.RequestURI, string(body), got.Header}
		_, _ = io.WriteString(response, items(""))
	})
	asking.plugin = at(listening.url+url, asking.plugin.token)
	asking.expect(t)
	return found
}

func TestTheRequestIsThis(t *testing.T) {
	input := map[string]string{"status": `["active", "a<b"]`, "members": "1000000"}

	found := arriving(t, set{plugin: at("", " token\n"), input: input}, "")

	if found.line != "POST "+path {
		t.Errorf("it begins with %s", found.line)
	}
	wanted := `{"applicationSetName":"facts","input":{"parameters":{"members":1000000,"status":["active","a<b"]}}}` + "\n"
	if found.body != wanted {
		t.Errorf("its body is %q", found.body)
	}
	headers := http.Header{
		"Accept-Encoding": {"gzip"},
		"Authorization":   {"Bearer token"},
		"Content-Length":  {fmt.Sprint(len(wanted))},
		"Content-Type":    {"application/json"},
		"User-Agent":      {"argocd-applicationset"},
	}
	if !maps.EqualFunc(found.header, headers, slices.Equal) {
		t.Errorf("its headers are %v", found.header)
	}
}

func TestARequestWithoutInputHasNoParameters(t *testing.T) {
	found := arriving(t, set{plugin: at("", "token")}, "")

	if found.body != `{"applicationSetName":"facts","input":{}}`+"\n" {
		t.Errorf("its body is %q", found.body)
	}
}

func TestAnEmptyTokenIsNotSentAtAll(t *testing.T) {
	found := arriving(t, set{plugin: at("", "\n")}, "")

	if _, sent := found.header["Authorization"]; sent {
		t.Errorf("it is %q", found.header["Authorization"])
	}
}

func TestAReferenceToAMissingKeyIsSentAsItStands(t *testing.T) {
	asked := showing(t, true, "")
	asked.plugin.reference = "$plugin:no.such.key"

	_, err := asked.ask()

	if err == nil || !strings.Contains(err.Error(), "status code 401: The token is a literal `$") {
		t.Errorf("Argo CD says %v", err)
	}
}

func TestTheAddressMayEndInOneSlash(t *testing.T) {
	for ending, line := range map[string]string{"/": path, "//": "/" + path, "/prefix": "/prefix" + path} {
		if found := arriving(t, set{plugin: at("", "token")}, ending); found.line != "POST "+line {
			t.Errorf("an address that ends in %s gives %s", ending, found.line)
		}
	}
	asked := showing(t, true, "{{.tenant}}")
	asked.plugin.url += "/"
	asked.expect(t, "acme", "beta")
}

func TestARedirectMakesAGetThatTenantryRefuses(t *testing.T) {
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther} {
		redirect := http.RedirectHandler(tenantry(t).url+path, status)
		asked := showing(t, true, "")
		asked.plugin.url = serveBy(t, redirect.ServeHTTP).url

		_, err := asked.ask()

		if err == nil || !strings.Contains(err.Error(), "status code 405: ") {
			t.Errorf("after a %d Argo CD says %v", status, err)
		}
	}
}

func TestARequestMayTakeThirtySeconds(t *testing.T) {
	service, err := protocol.NewPluginService("facts", "http://127.0.0.1", "token", 0)
	if err != nil {
		t.Fatal(err)
	}

	client := reflect.ValueOf(service).Elem().FieldByName("client").Elem().FieldByName("client").Elem()

	if found := time.Duration(client.FieldByName("Timeout").Int()); found != 30*time.Second {
		t.Errorf("it may take %s", found)
	}
}

func TestTheTimeOfARequestIsWholeSecondsWithoutAUnit(t *testing.T) {
	done := make(chan struct{})
	slow := serveBy(t, func(http.ResponseWriter, *http.Request) { <-done })
	defer close(done)
	slow.timeout = "1"

	_, err := set{plugin: slow}.ask()

	if err == nil || !strings.Contains(err.Error(), "Client.Timeout exceeded while awaiting headers") {
		t.Errorf("Argo CD says %v", err)
	}
	slow.timeout = "1s"
	set{plugin: slow}.expectError(t, `error getting plugin from generator: error set requestTimeout : strconv.Atoi: parsing "1s": invalid syntax`)
}

// watched counts the connections that are opened, and the answers that came gzipped.
type watched struct {
	http.RoundTripper
	opened, gzipped int
}

func (w *watched) RoundTrip(sent *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if !got.Reused {
			w.opened++
		}
	}}
	response, err := w.RoundTripper.RoundTrip(sent.WithContext(httptrace.WithClientTrace(sent.Context(), trace)))
	if err == nil && response.Uncompressed {
		w.gzipped++
	}
	return response, err
}

// watch puts a watched transport into the place of the one that the protocol client shares.
func watch(t *testing.T) *watched {
	shared := http.DefaultTransport
	made := shared.(*http.Transport).Clone()
	made.TLSClientConfig = &tls.Config{}
	found := &watched{RoundTripper: made}
	http.DefaultTransport = found
	t.Cleanup(func() { http.DefaultTransport = shared })
	return found
}

func TestAConnectionIsUsedAgain(t *testing.T) {
	seen := watch(t)
	for range 20 {
		showing(t, true, "{{.tenant}}").expect(t, "acme", "beta")
	}

	if seen.opened != 1 {
		t.Errorf("20 requests took %d connections", seen.opened)
	}
}

func TestALargeAnswerComesGzippedAndIsRead(t *testing.T) {
	seen := watch(t)

	shown, err := set{plugin: tenantry(t), input: map[string]string{"status": `"bulk"`}, shows: "{{tenant}}"}.ask()

	if err != nil || len(shown) != 300 || shown[299] != "bulk-300" {
		t.Errorf("it shows %d tenants, up to %v: %v", len(shown), shown[max(0, len(shown)-1):], err)
	}
	if seen.gzipped != 1 {
		t.Errorf("%d answers came gzipped", seen.gzipped)
	}
}

func TestAPluginIsAskedEveryHalfHourAndThreeMinutesAfterAnError(t *testing.T) {
	asked := set{}.applicationSet()

	found := generators.NewPluginGenerator(cluster{}, "argocd").GetRequeueAfter(&asked.Spec.Generators[0])

	if found != 30*time.Minute {
		t.Errorf("it is asked every %s", found)
	}
	if after := controllers.ReconcileRequeueOnValidationError; after != 3*time.Minute {
		t.Errorf("it is asked %s after an error", after)
	}
}
