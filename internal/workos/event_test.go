package workos

import (
	"encoding/json"
	"testing"
)

// workos-node checks a signature against JSON.stringify(JSON.parse(body)), so
// these are what Node prints for the values.
func TestEventJSONIsWhatJavaScriptWrites(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{"Tom & <Jerry> Ngô", `"Tom & <Jerry> Ngô"`},
		{"line\u2028paragraph\u2029", "\"line\u2028paragraph\u2029\""},
		{`not \u2028 escaped`, `"not \\u2028 escaped"`},
		{"broken \xff", "\"broken \ufffd\""},
		{"tab\tbell\a", `"tab\tbell\u0007"`},
		{map[string]string{"10": "a", "2": "b", "-1": "c", "01": "d", "x": "e"}, `{"2":"b","10":"a","-1":"c","01":"d","x":"e"}`},
		{[]any{map[string]any{"m": map[string]int{"b": 1, "0": 2}}, nil, true, "1\":"}, `[{"m":{"0":2,"b":1}},null,true,"1\":"]`},
		{json.RawMessage(`{"a":{"9":1.50,"1":{}}}`), `{"a":{"1":{},"9":1.50}}`},
	} {
		if got, err := EventJSON(c.value); err != nil || string(got) != c.want {
			t.Errorf("EventJSON(%#v) = %s, %v; want %s", c.value, got, err, c.want)
		}
	}
}

// Whatever goes in comes out with the same meaning, and once encoded stays.
func FuzzEventJSON(f *testing.F) {
	for _, seed := range []string{`{"2":"\\u2028","1":[{}]}`, `"\ufffd"`, `{"a":{"10":null,"9":false}}`, `[1,"2"]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			return
		}
		var in any
		if err := json.Unmarshal([]byte(text), &in); err != nil {
			return // a number out of range
		}
		once, err := EventJSON(in)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := EventJSON(json.RawMessage(once))
		if err != nil || string(once) != string(twice) {
			t.Errorf("EventJSON(EventJSON(%q)) = %s, %v; want %s", text, twice, err, once)
		}
	})
}
