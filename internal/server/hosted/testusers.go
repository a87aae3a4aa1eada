package hosted

import (
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/web"
)

// mountTestUsers registers the buttons of the test users on the sign-in page.
func (p *Pages) mountTestUsers(form func(string, route.Handler)) {
	form("POST /sign-in/test-user", p.signInTestUser)
}

// offersTestUsers reports whether a browser may sign in as a test user with
// one click. Never in production, neither the environment's nor the
// deployment's that is signed in to.
//
// Whoever sees the buttons is as good as somebody who knows the passwords. The
// badge is on every page of a lower environment, and previews are often open
// to the world, so the badge is no permission: the buttons are shown to the
// person at the machine that the server runs on, who can read the accounts file
// and the database anyway, and to others only where the team has said so for
// that environment (identity.Pages.ListTestUsers, set with the team's token).
func (p *Pages) offersTestUsers(r *http.Request, e *store.Env, frame web.Frame) bool {
	if e.Production || e.Settings.Methods.NoPassword || frame.Kind != web.Dev && frame.Kind != web.Preview {
		return false
	}
	return p.local(r) || e.Settings.Pages.ListTestUsers
}

// listTestUsers adds the buttons to a sign-in page that may have them.
func (p *Pages) listTestUsers(r *http.Request, e *store.Env, page *web.SignIn) error {
	if !p.offersTestUsers(r, e, page.Frame) {
		return nil
	}
	users, err := e.TestUsers(r.Context())
	if err != nil {
		return err
	}
	for _, u := range users {
		page.TestUsers = append(page.TestUsers, web.TestUser{ID: u.ID, Email: u.Email, Name: strings.TrimSpace(u.FirstName + " " + u.LastName)})
	}
	page.TestUserForm = web.Form{Action: "/sign-in/test-user", Hidden: page.Form.Hidden}
	return nil
}

// signInTestUser is the form of the sign-in page with the address and password
// that are kept of a test user: it is limited, checked, counted and continued as
// if they had been typed (R119).
func (p *Pages) signInTestUser(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	sealed := r.PostForm.Get("flow")
	e, flow, frame, err := p.open(w, r, sealed)
	if err != nil {
		return err
	}
	none := fault.New(fault.NotFound, "There is no such test user here.").WithFix("Go back and sign in with address and password.")
	if !p.offersTestUsers(r, e, frame) {
		return none
	}
	u, password, err := e.TestPassword(r.Context(), r.PostForm.Get(web.FieldTestUser))
	if fault.Is(err, fault.NotFound) {
		return none
	}
	if err != nil {
		return err
	}
	return p.checkSignIn(w, r, signInAttempt{e: e, flow: flow, frame: frame, sealed: sealed, email: u.Email, password: password.Reveal(),
		wrong: "The password of this test user was changed. To get it back: berth users reset"})
}
