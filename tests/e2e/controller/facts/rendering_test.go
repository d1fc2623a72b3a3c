package facts

import (
	"net/http"
	"testing"
)

// both expects the same of a template with and without Go templates.
func both(t *testing.T, fastTemplate, goTemplate string, wanted ...string) {
	t.Helper()
	showing(t, false, fastTemplate).expect(t, wanted...)
	showing(t, true, goTemplate).expect(t, wanted...)
}

// given returns a set on an answer with one parameter set.
func given(t *testing.T, parameterSet string, goTemplate bool, shows string) set {
	return set{plugin: serve(t, http.StatusOK, items(parameterSet)), goTemplate: goTemplate, shows: shows}
}

func TestOurNumbersKeepEveryDigit(t *testing.T) {
	both(t, "{{members}} {{serial}} {{price}}", "{{.members}} {{.serial}} {{.price}}",
		"1000000 9007199254740993 1.50", "5 1 2.00")
	both(t, "{{settings.limits.requests}}", "{{.settings.limits.requests}}", "1234567", "")
}

func TestJSONNumbersFromAMillionUpLoseDigits(t *testing.T) {
	for number, shown := range map[string]string{
		"999999": "999999", "1000000": "1e+06", "1234567": "1.234567e+06", "9007199254740993": "9.007199254740992e+15", "1.50": "1.5",
	} {
		given(t, `{"n":`+number+`}`, false, "{{n}}").expect(t, shown)
		given(t, `{"n":`+number+`}`, true, "{{.n}}").expect(t, shown)
	}
}

func TestOurBooleansAndNullsAreText(t *testing.T) {
	both(t, "{{paid}}", "{{.paid}}", "true", "false")
	both(t, "[{{nothing}}]", "[{{.nothing}}]", "[]", "[]")
	showing(t, true, `{{if eq .paid "true"}}paid{{end}}`).expect(t, "paid", "")
}

func TestAJSONNullIsShownAsAWord(t *testing.T) {
	given(t, `{"n":null}`, false, "{{n}}").expect(t, "<nil>")
	null := given(t, `{"n":null}`, true, "{{.n}}")
	null.options = []string{"missingkey=error"}
	null.expect(t, "<no value>")
}

func TestNestedFieldsHaveDottedNamesWithoutGoTemplates(t *testing.T) {
	both(t, "{{settings.region}} {{settings.tags.1}}", `{{.settings.region}} {{with .settings.tags}}{{index . 1}}{{end}}`, "eu b", "us y")
	showing(t, false, "{{settings}}").expect(t, "{{settings}}", "{{settings}}")
}

func TestEmptyListsAndObjectsVanishUnlessTheyAreText(t *testing.T) {
	given(t, `{"list":[],"map":{}}`, false, "{{list}} {{map}}").expect(t, "{{list}} {{map}}")
	showing(t, false, "{{settings.none}}").expect(t, "[]", "")
}

func TestWhichOfTwoNamesThatFlattenAlikeIsShownIsChance(t *testing.T) {
	collision := given(t, `{"a.b":"1","a":{"b":"2"}}`, false, "{{a.b}}")
	found := map[string]int{}
	for range 200 {
		shown, err := collision.ask()
		if err != nil {
			t.Fatal(err)
		}
		found[shown[0]]++
	}
	if len(found) != 2 {
		t.Errorf("200 times: %v", found)
	}
}

func TestTextIsNotRenderedAgain(t *testing.T) {
	both(t, "{{note}}", "{{.note}}", "", "{{ .tenant }} {{tenant}} \"quoted\": <b>&\nproject: admin")
}

func TestAKeyThatIsMissingStaysInTheTextWithoutGoTemplates(t *testing.T) {
	showing(t, false, "{{tenat}}").expect(t, "{{tenat}}", "{{tenat}}")
	showing(t, true, "{{.tenat}}").expect(t, "<no value>", "<no value>")
}

func TestOneItemWithoutAKeyFailsTheWholeSetUnderMissingkeyError(t *testing.T) {
	missing := given(t, `{"tenant":"acme","plan":"gold"},{"tenant":"beta"}`, true, "{{.plan}}")
	missing.options = []string{"missingkey=error"}

	_, err := missing.ask()

	if err == nil {
		t.Error("it is no error")
	}
}

func TestOurItemsAllHaveTheSameKeys(t *testing.T) {
	asked := showing(t, true, "{{.note}}{{.settings.region}}{{.settings.limits.requests}}{{.settings.only}}")
	asked.options = []string{"missingkey=error"}
	asked.expect(t, "eu1234567", "{{ .tenant }} {{tenant}} \"quoted\": <b>&\nproject: adminusbeta's")
}

func TestASelectorSeesDottedNamesAndText(t *testing.T) {
	for _, goTemplate := range []bool{false, true} {
		shows := map[bool]string{false: "{{tenant}}", true: "{{.tenant}}"}[goTemplate]
		for name, value := range map[string]string{
			"settings.region": "eu", "settings.tags.0": "a", "members": "1000000", "paid": "true", "nothing": "",
		} {
			asked := showing(t, goTemplate, shows)
			asked.selector = map[string]string{"tenant": "acme", name: value}
			asked.expect(t, "acme")
		}
	}
}

func TestASelectorThatMatchesNothingIsAnEmptyList(t *testing.T) {
	for _, selector := range []map[string]string{{"tenat": "acme"}, {"settings": "eu"}} {
		asked := showing(t, true, "{{.tenant}}")
		asked.selector = selector
		asked.expect(t)
	}
}

func TestAFieldThatIsCalledGeneratorIsOverwritten(t *testing.T) {
	given(t, `{"generator":"ours","tenant":"acme"}`, true, "{{.generator}}").
		expect(t, "map[input:map[parameters:map[]]]")
}
