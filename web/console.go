package web

import "io"

// ConsolePage lists what a development server holds, at its root.
type ConsolePage struct {
	Server      string // address of the server, for example http://127.0.0.1:4500
	Version     string
	Note        string // one sentence under the heading; may be empty
	Deployments []ConsoleDeployment
}

// ConsoleDeployment is one line of the console.
type ConsoleDeployment struct {
	Name        string // of the deployment, for example happy-otter-123
	Kind        Kind
	Branch      string // may be empty
	URL         string // of the app; may be empty
	Environment string // name of its environment; may be empty
	ClientID    string
	Users       int
	Links       []Link // for example Sign in, Inbox
}

// KindLabel is the kind in words; unlike the badge it names production too.
func (d ConsoleDeployment) KindLabel() string {
	if label := d.Kind.Label(); label != "" {
		return label
	}
	return "Production"
}

// Render implements [Page].
func (p ConsolePage) Render(w io.Writer, nonce string) error {
	return view{
		file: "console.html", Marker: "console", Title: "Berth", Exact: true, Wide: true, Page: p,
	}.render(w, nonce)
}
