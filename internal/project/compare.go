package project

import "net/url"

// Comparison is the verdict on one value of a local and a production set (R47).
type Comparison struct {
	Name string
	Rule string // "must-differ" or "must-match"
	OK   bool
	Why  string // for a verdict that is not OK; holds no value
}

// CompareWithProduction compares the values of a local and a production set for
// apps of framework f. Values that are absent on a side are not compared. The
// results are in a fixed order and hold no values.
func (f Framework) CompareWithProduction(local, production func(name string) (string, bool)) []Comparison {
	var result []Comparison
	add := func(name, rule string, ok bool, why string) {
		if ok {
			why = ""
		}
		result = append(result, Comparison{Name: name, Rule: rule, OK: ok, Why: why})
	}
	both := func(name string) (a, b string, ok bool) {
		a, _ = local(name)
		b, _ = production(name)
		return a, b, a != "" && b != ""
	}
	differ := []string{clientIDVar, apiKeyVar, environmentIDVar, cookiePasswordVar, f.RedirectURI, f.ConvexURL, "CONVEX_DEPLOYMENT"}
	if f.ClientID != clientIDVar {
		differ = append([]string{f.ClientID}, differ...)
	}
	for _, name := range differ {
		if a, b, ok := both(name); ok {
			add(name, "must-differ", a != b, "local and production share it: users and sessions of both mix")
		}
	}
	if a, b, ok := both(f.RedirectURI); ok {
		add(f.RedirectURI+" path", "must-match", pathOf(a) == pathOf(b), "one app has one callback route, and the paths differ")
	}
	if f.ClientID == clientIDVar {
		return result
	}
	for _, side := range []struct {
		name string
		get  func(string) (string, bool)
	}{{"local", local}, {"production", production}} {
		public, _ := side.get(f.ClientID)
		server, _ := side.get(clientIDVar)
		if public != "" && server != "" {
			add(f.ClientID+" and "+clientIDVar+" ("+side.name+")", "must-match", public == server, "browser and backend use different environments")
		}
	}
	return result
}

func pathOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return uri
	}
	return u.Path
}
