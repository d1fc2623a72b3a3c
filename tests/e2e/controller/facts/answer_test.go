package facts

import (
	"net/http"
	"strings"
	"testing"
)

const (
	prefix  = "error listing params: error get api 'facts': "
	refused = prefix + "API error with status code "
)

func TestOurErrorsAreShownWordForWord(t *testing.T) {
	misspelt := showing(t, true, "")
	misspelt.input = map[string]string{"statsu": `"active"`}
	wrong := showing(t, true, "")
	wrong.plugin.token = "wrong"
	without := showing(t, true, "")
	without.plugin.token = ""
	elsewhere := showing(t, true, "")
	elsewhere.plugin.url += "/elsewhere"
	waiting := showing(t, true, "")
	waiting.plugin.url = setting(t, "TENANTRY_WAITING_URL")
	for name, asked := range map[string]set{"400": misspelt, "401": wrong, "401 without": without, "404": elsewhere, "503": waiting} {
		t.Run(name, func(t *testing.T) {
			asked.expectError(t, refused+name[:3]+": "+setting(t, "TENANTRY_SAYS_"+strings.ReplaceAll(name, " ", "_")))
		})
	}
}

func TestOfAnErrorOnlyTheMessageIsShown(t *testing.T) {
	for body, shown := range map[string]string{
		`{"message":"why","detail":"more"}`: "why",
		`{"error":"why"}`:                   "why",
		`{"detail":"why"}`:                  "",
		`{"message":"","error":"why"}`:      "",
		`{"message":{"text":"why"}}`:        "",
	} {
		set{plugin: serve(t, http.StatusServiceUnavailable, body)}.expectError(t, refused+"503: "+shown)
	}
}

func TestAnErrorThatIsNoJSONIsShownWhole(t *testing.T) {
	set{plugin: serve(t, http.StatusBadGateway, "<html>Bad gateway")}.expectError(t, refused+"502: <html>Bad gateway")
}

func TestAnEmptyListIsTheTruth(t *testing.T) {
	asked := showing(t, true, "")
	asked.input = map[string]string{"status": `"nobody's"`}

	asked.expect(t)
}

func TestASuccessWithoutAListIsAnEmptyList(t *testing.T) {
	for _, body := range []string{
		"", " ", "{}", "null", `{"output":{}}`, `{"output":{"parameters":null}}`, `{"parameters":[{"tenant":"acme"}]}`,
		`{"message":"The database is gone."}`, `{"error":"The database is gone."}`, "{}garbage",
	} {
		set{plugin: serve(t, http.StatusOK, body)}.expect(t)
	}
	set{plugin: serve(t, http.StatusNoContent, "")}.expect(t)
}

func TestAnyOther200IsAnError(t *testing.T) {
	whole := answer(t)
	for _, body := range []string{whole[:len(whole)/2], whole[:len(whole)-3], "<html>", items("NaN"), items(`"acme"`), "\ufeff" + whole} {
		if shown, err := (set{plugin: serve(t, http.StatusOK, body)}).ask(); err == nil {
			t.Errorf("%.40s… is no error, and shows %q", body, shown)
		}
	}
}

func TestOfAnAnswerOfTheWrongShapeTheErrorHoldsEveryByte(t *testing.T) {
	body := items(`{"tenant":"acme"},"beta"`)

	_, err := set{plugin: serve(t, http.StatusOK, body)}.ask()

	if err == nil || !strings.HasSuffix(err.Error(), body) {
		t.Errorf("Argo CD says %v", err)
	}
}

func TestUnknownKeysAreIgnored(t *testing.T) {
	body := strings.Replace(answer(t), `{"output":{`, `{"apiVersion":"v2","output":{"revision":"7",`, 1)

	set{plugin: serve(t, http.StatusOK, body), goTemplate: true, shows: "{{.tenant}}"}.expect(t, "acme", "beta")
}

func TestAnySuccessIsAnAnswer(t *testing.T) {
	set{plugin: serve(t, http.StatusCreated, answer(t)), shows: "{{tenant}}"}.expect(t, "acme", "beta")
}
