package value

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berthdev/berth/internal/fault"
)

func TestRecordedValuesAreReadAndWrittenBack(t *testing.T) {
	data, err := os.ReadFile("testdata/values.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Values []struct {
			Value   string          `json:"value"`
			Encoded json.RawMessage `json:"encoded"`
		} `json:"values"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for _, c := range file.Values {
		v, err := Parse(c.Encoded)
		if err != nil {
			t.Errorf("Parse(%s) = %v (%s)", c.Encoded, err, c.Value)
			continue
		}
		var want bytes.Buffer
		if err := json.Compact(&want, c.Encoded); err != nil {
			t.Fatal(err)
		}
		if got := Append(nil, v); string(got) != want.String() {
			t.Errorf("Append(Parse(%s)) = %s (%s)", want.String(), got, c.Value)
		}
	}
}

func TestWhatIsNoValueIsRefused(t *testing.T) {
	for _, text := range []string{"", "{", "[1,]", "1 2", "nul", `{"$integer":"AAAA"}`, `{"$integer":5}`, `{"$other":"x"}`, `{"$bytes":"%"}`,
		`{"$float":"AAAAAAAA8D8="}`, `{"$undefined":null}`, `{"a":1,"$integer":"AAAAAAAAAAA="}`, "1e999",
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000)} {
		if v, err := Parse([]byte(text)); !fault.Is(err, fault.Invalid) {
			t.Errorf("Parse(%.40q) = %v, %v, want kind Invalid", text, v, err)
		}
	}
	if v, err := ParsePatch([]byte(`{"a":{"$undefined":null}}`)); err != nil || !cmp.Equal(v, Object{"a": Undefined{}}) {
		t.Errorf("ParsePatch of undefined = %v, %v", v, err)
	}
}

func TestFormatsOfTheFunctionAPI(t *testing.T) {
	v := Object{"n": int64(5), "b": Bytes{1, 2, 255}, "nan": math.NaN(), "f": 1.5, "big": 1e21, "list": Array{nil, true, "é\n"}}
	for name, want := range map[string]string{
		"convex_encoded_json": `{"b":{"$bytes":"AQL/"},"big":1e+21,"f":1.5,"list":[null,true,"é\n"],"n":{"$integer":"BQAAAAAAAAA="},"nan":{"$float":"AQAAAAAA+H8="}}`,
		"json":                `{"b":"AQL/","big":1e+21,"f":1.5,"list":[null,true,"é\n"],"n":"5","nan":"NaN"}`,
		"export_json":         `{"b":"AQL/","big":1e+21,"f":1.5,"list":[null,true,"é\n"],"n":5,"nan":"NaN"}`,
	} {
		f, err := ParseFormat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(f.Write(nil, v)); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	if _, err := ParseFormat("xml"); fault.Code(err) != "BadFormat" {
		t.Errorf("ParseFormat(xml) = %v, want code BadFormat", err)
	}
}

// some returns a random value.
func some(r *rand.Rand, depth int) any {
	switch n := r.IntN(10); {
	case n == 0:
		return nil
	case n == 1:
		return r.IntN(2) == 0
	case n == 2:
		return int64(r.Uint64()) >> r.IntN(64)
	case n == 3:
		return []float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), r.NormFloat64(), 1e300, 5e-324}[r.IntN(9)]
	case n == 4:
		return []string{"", "a", "a\x00", "a\x00b", "ab", "é", "\xf0\x9f\x98\x80"}[r.IntN(7)]
	case n == 5:
		return Bytes([]string{"", "\x00", "\x00\xff", "\x01", "\x01\x00", "\xff"}[r.IntN(6)])
	case n < 8 && depth < 3:
		list := Array{}
		for range r.IntN(4) {
			list = append(list, some(r, depth+1))
		}
		return list
	case depth < 3:
		o := Object{}
		for range r.IntN(4) {
			o[string(rune('a'+r.IntN(3)))] = some(r, depth+1)
		}
		return o
	}
	return "end"
}

func TestKeysSortAsValuesDo(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sign := func(n int) int { return max(-1, min(1, n)) }
	for range 20000 {
		a, b := some(r, 0), some(r, 0)
		order := Compare(a, b)
		ka, kb := AppendKey(nil, a), AppendKey(nil, b)
		if got := sign(bytes.Compare(ka, kb)); got != sign(order) {
			t.Fatalf("keys of %s and %s compare %d, the values %d", Text(a), Text(b), got, order)
		}
		if order != 0 && (bytes.HasPrefix(ka, kb) || bytes.HasPrefix(kb, ka)) {
			t.Fatalf("the key of one of %s and %s begins the other", Text(a), Text(b))
		}
		back, err := Parse(Append(nil, a))
		if err != nil || Compare(a, back) != 0 {
			t.Fatalf("Parse(Append(%s)) = %v, %v", Text(a), back, err)
		}
	}
	var last []byte
	for _, v := range []any{Undefined{}, nil, int64(-1), 0.5, false, "", Bytes{}, Array{}, Object{}} {
		key := AppendKey(nil, v)
		if bytes.Compare(last, key) >= 0 {
			t.Errorf("the key of %T is not after the one before it", v)
		}
		last = key
	}
}

func TestLimits(t *testing.T) {
	deep := any(nil)
	for range MaxDepth + 1 {
		deep = Array{deep}
	}
	many := Object{}
	for i := range MaxFields + 1 {
		many["f"+string(rune('a'+i%26))+strings.Repeat("x", i/26)] = nil
	}
	for code, doc := range map[string]Object{
		"TooNestedError":      {"a": deep},
		"ArrayTooLong":        {"a": make(Array, MaxArray+1)},
		"ObjectTooManyFields": many,
		"ValueTooLargeError":  {"a": strings.Repeat("x", MaxDocument)},
		"InvalidFieldName":    {"_mine": 1.0},
	} {
		if err := CheckDocument(doc); fault.Code(err) != code {
			t.Errorf("CheckDocument = %v, want code %s", err, code)
		}
	}
	for _, name := range []string{"", "$x", "a\n", "é", strings.Repeat("x", 1025)} {
		if err := Check(Object{name: nil}); fault.Code(err) != "InvalidFieldName" {
			t.Errorf("Check of field %.20q = %v, want code InvalidFieldName", name, err)
		}
	}
	if err := CheckDocument(Object{"_id": "x", "a b": Array{Object{}}}); err != nil {
		t.Errorf("CheckDocument of a good one = %v", err)
	}
}

func TestDocumentIDs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, table := range []uint32{1, 127, 128, 10001, 1<<32 - 1} {
		var own [16]byte
		for i := range own {
			own[i] = byte(r.Uint32())
		}
		id := FormatID(table, own)
		gotTable, gotOwn, err := ParseID(id)
		if err != nil || gotTable != table || gotOwn != own {
			t.Errorf("ParseID(%s) = %d, %x, %v, want %d, %x", id, gotTable, gotOwn, err, table, own)
		}
		if len(id) < 31 || len(id) > 37 {
			t.Errorf("the id %s has %d characters, want 31 to 37", id, len(id))
		}
		for i := range id {
			changed := []byte(id)
			changed[i] = 'a' + (changed[i]+1)%2
			if string(changed) == id {
				continue
			}
			if n, own2, err := ParseID(string(changed)); err == nil && FormatID(n, own2) != string(changed) {
				t.Errorf("ParseID(%s) accepts what FormatID does not write", changed)
			}
		}
	}
	for _, bad := range []string{"", "x", strings.Repeat("0", 32), strings.Repeat("u", 32), strings.ToUpper(FormatID(1, [16]byte{255, 254, 253})), FormatID(1, [16]byte{}) + "0"} {
		if _, _, err := ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) = nil, want an error", bad)
		}
	}
}

func TestValidatorsSayWhatDoesNotFit(t *testing.T) {
	const user = `{"type":"object","value":{"name":{"fieldType":{"type":"string"},"optional":false},"age":{"fieldType":{"type":"number"},"optional":true},
		"friend":{"fieldType":{"type":"id","tableName":"users"},"optional":true},"role":{"fieldType":{"type":"union","value":[{"type":"literal","value":"admin"},{"type":"null"}]},"optional":true},
		"tags":{"fieldType":{"type":"array","value":{"type":"string"}},"optional":true},"one":{"fieldType":{"type":"literal","value":1},"optional":true},
		"counts":{"fieldType":{"type":"record","keys":{"type":"string"},"values":{"fieldType":{"type":"bigint"},"optional":false}},"optional":true}}}`
	v, err := ParseValidator([]byte(user))
	if err != nil {
		t.Fatal(err)
	}
	table := func(id string) string {
		return map[string]string{"u1": "users", "n1": "notes"}[id]
	}
	source := `v.object({age: v.optional(v.float64()), counts: v.optional(v.record(v.string(), v.int64())), friend: v.optional(v.id("users")), name: v.string(), one: v.optional(v.literal(1.0)), role: v.optional(v.union(v.literal("admin"), v.null())), tags: v.optional(v.array(v.string()))})`
	for _, c := range []struct {
		name, value, want string
	}{
		{"all fields fit", `{"name":"a","age":1,"friend":"u1","role":null,"tags":["x"],"counts":{"a":{"$integer":"AAAAAAAAAAA="}},"one":1}`, ""},
		{"a field is missing", `{}`, "Object is missing the required field `name`. Consider wrapping the field validator in `v.optional(...)` if this is expected.\n\nObject: {}\nValidator: " + source},
		{"a field is too many", `{"name":"a","x":1}`, "Object contains extra field `x` that is not in the validator.\n\nObject: {name: \"a\", x: 1.0}\nValidator: " + source},
		{"a type is wrong", `{"name":5}`, "Value does not match validator.\nPath: .name\nValue: 5.0\nValidator: v.string()"},
		{"an element is wrong", `{"name":"a","tags":["x",true]}`, "Value does not match validator.\nPath: .tags[1]\nValue: true\nValidator: v.string()"},
		{"an id is of another table", `{"name":"a","friend":"n1"}`, "Found ID \"n1\" from table `notes`, which does not match the table name in validator `v.id(\"users\")`.Path: .friend"},
		{"an id is none", `{"name":"a","friend":"zz"}`, "Value does not match validator.\nPath: .friend\nValue: \"zz\"\nValidator: v.id(\"users\")"},
		{"a literal is another", `{"name":"a","one":2}`, "`2.0` does not match literal validator `v.literal(1.0)`.Path: .one"},
		{"no member of a union fits", `{"name":"a","role":"user"}`, "Value does not match validator.\nPath: .role\nValue: \"user\"\nValidator: v.union(v.literal(\"admin\"), v.null())"},
		{"a value of a record is wrong", `{"name":"a","counts":{"a":1}}`, "Value does not match validator.\nPath: .counts.values()\nValue: 1.0\nValidator: v.int64()"},
		{"it is no object", `[]`, "Value does not match validator.\n\nValue: []\nValidator: " + source},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, err := Parse([]byte(c.value))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := v.Check(x, table); err != nil {
				got = err.Error()
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("Check(%s) differs (-want +got):\n%s", c.value, d)
			}
		})
	}
	if err := v.CheckFields(Object{"_id": "u1", "_creationTime": 1.0, "name": "a"}, table); err != nil {
		t.Errorf("CheckFields = %v, want nil: the fields that Convex adds are not in schemas", err)
	}
	for _, bad := range []string{"", "{}", `{"type":"x"}`, `{"type":"id"}`, `{"type":"array"}`, `{"type":"union","value":{}}`, `{"type":"object","value":[]}`, `{"type":"literal"}`,
		strings.Repeat(`{"type":"array","value":`, 500) + `{"type":"any"}` + strings.Repeat("}", 500)} {
		if _, err := ParseValidator([]byte(bad)); !fault.Is(err, fault.Invalid) {
			t.Errorf("ParseValidator(%.40q) = %v, want kind Invalid", bad, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`null`, `{"a":[1,{"$integer":"AQAAAAAAIAA="}]}`, `{"$bytes":""}`, `{"$float":"AAAAAAAA+H8="}`, `{"$undefined":null}`, `[[[["\u0000"]]]]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Parse(data)
		if err != nil {
			return
		}
		again, err := Parse(Append(nil, v))
		if err != nil {
			t.Fatalf("what Append wrote cannot be read: %v", err)
		}
		if d := cmp.Diff(v, again, cmpopts.EquateNaNs()); d != "" {
			t.Fatalf("read back differs: %s", d)
		}
		if Compare(v, again) != 0 || !bytes.Equal(AppendKey(nil, v), AppendKey(nil, again)) {
			t.Fatal("the order of a value is not that of its copy")
		}
		_ = Check(v)
		Size(v)
		Text(v)
	})
}
