package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

// signIn signs the deployment's own user in with a fresh browser.
func (s *show) signIn(ctx context.Context, p *shop, origin string) (*Browser, error) {
	b := NewBrowser(s.network)
	me, err := b.SignIn(ctx, origin, p.email, p.password)
	if err == nil && me.ClientID != p.settings.ClientID {
		err = fault.New(fault.Conflict, "the app on %s has another client ID than its deployment", origin)
	}
	p.row.Visits = append(p.row.Visits, Visit{Origin: origin, What: "sign in", OK: err == nil, Hops: b.Hops()})
	return b, err
}

func (s *show) signInEverywhere(ctx context.Context) (string, error) {
	count := 0
	for _, p := range s.shops {
		count += len(p.origins)
	}
	return fmt.Sprintf("%d sign-ins", count), each(ctx, s.shops, func(ctx context.Context, p *shop) error {
		for _, origin := range p.origins {
			b, err := s.signIn(ctx, p, origin)
			if err != nil {
				return err
			}
			before, err := b.Token(ctx, origin)
			if err != nil {
				return err
			}
			page, err := b.Press(ctx, origin, "/refresh")
			if err != nil {
				return err
			}
			if page.Marker != "signed-in" {
				return page.stopped("does not show the session after a refresh")
			}
			if p.token, err = b.Token(ctx, origin); err != nil {
				return err
			}
			if p.token == before {
				return fault.New(fault.Conflict, "the refresh on %s gave the same access token again", origin)
			}
			s.shell.hide(before, p.token)
		}
		p.row.Session = Verdict{OK: true, Detail: "signed in and refreshed on " + joinHosts(p.origins)}
		return nil
	})
}

func joinHosts(origins []string) string {
	var hosts []string
	for _, o := range origins {
		hosts = append(hosts, hostOf(o))
	}
	return strings.Join(hosts, ", ")
}

func (s *show) checkTokens(ctx context.Context) (string, error) {
	err := each(ctx, s.shops, func(ctx context.Context, p *shop) error {
		claims, err := readClaims(p.token)
		if err != nil {
			return err
		}
		if end := time.Unix(claims.Expires, 0); !end.After(s.Now()) {
			return fault.New(fault.Conflict, "the access token ended at %s", end.Format(time.TimeOnly))
		}
		p.row.Token = Verdict{OK: true, Detail: "issued by " + claims.Issuer}
		d, err := s.berth.Check(ctx, p.backend, p.token)
		if err != nil {
			return err
		}
		if !d.Accepted {
			return fault.New(fault.Denied, "its backend %s refuses the token: %s, %s", p.backend, d.Code, d.Message)
		}
		user, err := p.seen(ctx, p.token)
		if err != nil {
			return err
		}
		if user != claims.Subject {
			return fault.New(fault.Conflict, "its function saw %s, and the token is of %s", user, claims.Subject)
		}
		p.row.Backend.OK, p.row.Backend.User, p.row.Backend.Detail = true, user, "its function saw "+user
		return nil
	})
	return fmt.Sprintf("%d functions saw their user", len(s.shops)), err
}

// checkIsolation shows that deployments know neither each other's users nor
// each other's tokens (R61).
func (s *show) checkIsolation(ctx context.Context) (string, error) {
	a, b := s.preview("feature-a"), s.preview("feature-c")
	browser := NewBrowser(s.network)
	_, err := browser.SignIn(ctx, b.home(), a.email, a.password)
	s.result.Isolation = Isolation{User: a.email, From: a.row.Deployment, In: b.row.Deployment, Hops: browser.Hops()}
	is := &s.result.Isolation
	if err == nil {
		return "", fault.New(fault.Conflict, "the user of %s could sign in to %s", a.row.Deployment, b.row.Deployment)
	}
	f := fault.From(err)
	if f.Kind != fault.Denied || f.Code != "sign-in" {
		return "", err
	}
	is.Page = f.Message
	tries := 0
	for _, from := range s.shops {
		for _, to := range s.shops {
			if from == to {
				continue
			}
			d, err := s.berth.Check(ctx, to.backend, from.token)
			if err != nil {
				return "", err
			}
			if d.Accepted {
				return "", fault.New(fault.Conflict, "the backend of %s accepts a token of %s", to.row.Deployment, from.row.Deployment)
			}
			if user, err := to.seen(ctx, from.token); fault.Code(err) != d.Code {
				return "", fault.Wrap(err, fault.Conflict, "the function of %s was called with a token of %s and saw %q", to.row.Deployment, from.row.Deployment, user)
			}
			if from == a && to == b {
				is.Code, is.Message = d.Code, d.Message
			}
			tries++
		}
	}
	return fmt.Sprintf("user unknown, %d tokens refused", tries), nil
}

// signOutEverywhere signs out on every host and looks where that ends.
func (s *show) signOutEverywhere(ctx context.Context) (string, error) {
	return "each on its own homepage", each(ctx, s.shops, func(ctx context.Context, p *shop) error {
		for _, origin := range p.origins {
			b, err := s.signIn(ctx, p, origin)
			if err != nil {
				return err
			}
			done := len(b.Hops())
			page, err := b.Press(ctx, origin, "/sign-out")
			p.row.Visits = append(p.row.Visits, Visit{Origin: origin, What: "sign out", OK: err == nil, Hops: b.Hops()[done:]})
			if err != nil {
				return err
			}
			if page.Origin() != p.home() || page.Marker != "signed-out" {
				return page.stopped("is not where sign-out should end: " + p.home())
			}
			if me, err := b.Me(ctx, origin); err != nil || me.SignedIn {
				return fault.Wrap(err, fault.Conflict, "%s still has the session after sign-out", origin)
			}
			p.row.SignOut = page.Origin()
		}
		return nil
	})
}

func (s *show) prune(ctx context.Context) (string, error) {
	p, laptop := s.preview(dead), s.shops[0]
	if _, err := s.git(ctx, laptop.dir, "push", "--quiet", "origin", "--delete", dead); err != nil {
		return "", err
	}
	if _, err := s.run(ctx, laptop, command{}, "prune", "--yes", "--app", laptop.dir); err != nil {
		return "", err
	}
	p.gone, p.row.Pruned = true, true
	b := NewBrowser(s.network)
	page, err := b.Open(ctx, p.home()+"/sign-in")
	if err != nil {
		return "", err
	}
	if page.Marker != "client-id-invalid" {
		return "", page.stopped("still knows the client ID of the deleted branch")
	}
	_, err = s.berth.Environment(ctx, p.settings.ClientID)
	if err == nil {
		return "", fault.New(fault.Conflict, "the environment of %s is still there", p.row.Deployment)
	}
	if !fault.Is(err, fault.NotFound) {
		return "", err
	}
	left, err := s.berth.Environments(ctx)
	if err != nil {
		return "", err
	}
	var have, want []string
	for _, e := range left {
		have = append(have, e.ClientID)
	}
	for _, p := range s.living() {
		want = append(want, p.settings.ClientID)
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		return "", fault.New(fault.Conflict, "the server has %d environments after pruning, the %d living deployments have others", len(have), len(want))
	}
	s.result.Pruned = Pruned{Branch: dead, ClientID: p.settings.ClientID, Page: page.Heading}
	return "its environment is gone", nil
}

func (s *show) signInAgain(ctx context.Context) (string, error) {
	living := s.living()
	return fmt.Sprintf("%d deployments", len(living)), each(ctx, living, func(ctx context.Context, p *shop) error {
		for _, origin := range p.origins {
			b, err := s.signIn(ctx, p, origin)
			if err != nil {
				return err
			}
			token, err := b.Token(ctx, origin)
			if err != nil {
				return err
			}
			s.shell.hide(token)
			if d, err := s.berth.Check(ctx, p.backend, token); err != nil || !d.Accepted {
				return fault.Wrap(err, fault.Denied, "its backend no longer accepts the token: %s, %s", d.Code, d.Message)
			}
		}
		return nil
	})
}

// addLinks gives every preview an address that a person's browser can open:
// the .example hosts exist in the demo only. It is a deploy of the same build
// with one address more, so it shows as well that the environment stays.
func (s *show) addLinks(ctx context.Context) (string, error) {
	for _, p := range s.living() {
		link := p.home()
		switch p.row.Kind {
		case "prod":
			continue // production environments take https addresses only
		case "preview":
			var err error
			if link, err = p.app.ListenLocal(); err != nil {
				return "", err
			}
			vars, err := s.build(ctx, p, "--url", link)
			if err != nil {
				return "", err
			}
			if err := s.configure(ctx, p, vars); err != nil {
				return "", err
			}
		}
		if _, err := s.signIn(ctx, p, link); err != nil {
			return "", err
		}
		s.result.Links = append(s.result.Links, Link{Deployment: p.row.Deployment, URL: link, Email: p.email})
	}
	accounts, err := s.writeAccounts()
	s.result.Accounts = accounts
	return fmt.Sprintf("%d links", len(s.result.Links)), err
}

func readClaims(token secret.String) (tokenClaims, error) {
	var s session
	s.access = token
	err := s.readClaims()
	return s.claims, err
}
