package hosted

import (
	"net/http"
	"net/url"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/web"
)

// inboxLength is how many mails the inbox page shows.
const inboxLength = 50

// inboxCommand reads the inbox in a terminal.
const inboxCommand = "berth inbox"

// mountInbox registers the inbox in the browser. It has no sign-in of its own:
// it is for the person at the machine that the server runs on.
func (p *Pages) mountInbox(show func(string, route.Handler)) {
	show("GET /inbox", p.showInbox)
	show("GET /inbox/{id}", p.showMessage)
}

func inboxURL(e *store.Env, message string) string {
	path := "/inbox"
	if message != "" {
		path += "/" + message
	}
	return path + "?" + url.Values{"client_id": {e.ClientID}}.Encode()
}

// inbox is the hint where mail of lower environments ends up.
func (p *Pages) inbox(r *http.Request, e *store.Env) web.Inbox {
	switch {
	case e.Production:
		return web.Inbox{}
	case p.local(r):
		return web.Inbox{URL: inboxURL(e, ""), Command: inboxCommand}
	}
	return web.Inbox{Command: inboxCommand}
}

func (p *Pages) local(r *http.Request) bool { return p.Local != nil && p.Local(r) }

// openInbox returns the environment whose inbox is asked for. Production has
// none, strangers see none, and all of that is one answer.
func (p *Pages) openInbox(r *http.Request) (*store.Env, web.Frame, error) {
	none := fault.New(fault.NotFound, "There is no inbox here.").WithFix("On the machine that the server runs on, open it from the console page. Elsewhere read it with: " + inboxCommand)
	if !p.local(r) {
		return nil, web.Frame{}, none
	}
	e, err := p.DB.EnvByClientID(r.Context(), r.URL.Query().Get("client_id"))
	if fault.Is(err, fault.NotFound) || err == nil && e.Production {
		return nil, web.Frame{}, none
	}
	if err != nil {
		return nil, web.Frame{}, err
	}
	frame, err := p.frame(r.Context(), e, "")
	return e, frame, err
}

func mail(e *store.Env, m identity.Message) web.Mail {
	return web.Mail{URL: inboxURL(e, m.ID), To: m.To, Subject: m.Subject, Text: m.Text, Code: m.Code, Link: m.Link, SentAt: m.CreatedAt}
}

func (p *Pages) showInbox(w http.ResponseWriter, r *http.Request) error {
	e, frame, err := p.openInbox(r)
	if err != nil {
		return err
	}
	list, err := e.Messages(r.Context(), "", time.Time{}, inboxLength)
	if err != nil {
		return err
	}
	page := web.InboxPage{Frame: frame, Now: p.DB.Now(), ReloadURL: inboxURL(e, ""), Command: inboxCommand}
	for _, m := range list {
		page.Mails = append(page.Mails, mail(e, m))
	}
	return web.Write(w, http.StatusOK, page)
}

func (p *Pages) showMessage(w http.ResponseWriter, r *http.Request) error {
	e, frame, err := p.openInbox(r)
	if err != nil {
		return err
	}
	m, err := e.Message(r.Context(), r.PathValue("id"))
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "This mail is not in the inbox any more.").WithFix("Go back to the inbox.")
	}
	if err != nil {
		return err
	}
	return web.Write(w, http.StatusOK, web.InboxMessage{Frame: frame, Mail: mail(e, m), InboxURL: inboxURL(e, "")})
}
