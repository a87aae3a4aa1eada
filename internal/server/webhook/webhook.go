// Package webhook sends events to the endpoints of applications: signed, in
// order for each endpoint, and again later when it fails. What is to be sent is
// in the store, so a server that stops takes up its work when it starts again;
// an event may arrive twice then, with the same id.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

const (
	// deadline is how long an endpoint may take to answer.
	deadline = 10 * time.Second
	// maxAnswer is how much of an answer is read, in bytes, so that its
	// connection can be used again; nothing of it is kept.
	maxAnswer = 64 << 10
	// parallel is how many endpoints are served at once.
	parallel = 16
	// turn is how many events an endpoint gets before others have theirs.
	turn = 50
	// longestWait bounds the sleep between two looks at the queue.
	longestWait = time.Minute
)

// Sender delivers what is queued in a store.
type Sender struct {
	db    *store.DB
	log   *slog.Logger
	local func() bool
	http  *http.Client
}

// New returns a Sender. local says whether the server is for its own machine
// alone; if not, addresses that are not public are refused.
func New(db *store.DB, log *slog.Logger, local func() bool) *Sender {
	s := &Sender{db: db, log: log, local: local}
	dialer := &net.Dialer{Timeout: deadline, Control: s.control}
	s.http = &http.Client{
		Timeout: deadline,
		// No proxy: it would connect in our place, past the check of addresses.
		Transport: &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: deadline, MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConns: parallel, MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s
}

// CheckTarget refuses what cannot be the URL of an endpoint. Names are looked
// up only when something is sent, and checked then.
func (s *Sender) CheckTarget(target string, production bool) error {
	u, err := url.Parse(target)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || len(target) > 2048:
		return fault.New(fault.Invalid, "endpoint_url must be an http or https URL without user or fragment.")
	case production && u.Scheme != "https":
		return fault.New(fault.Invalid, "endpoint_url of a production environment must be an https URL.")
	}
	if s.local() {
		return nil
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	ip, err := netip.ParseAddr(host)
	if err == nil && !public(ip) || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return fault.New(fault.Invalid, "endpoint_url must be a public address.")
	}
	return nil
}

var errNotPublic = errors.New("the address is not public")

// control sees each address right before a connection to it, after names were
// looked up, so that a name cannot lead to another address than was checked.
func (s *Sender) control(_, address string, _ syscall.RawConn) error {
	if s.local() {
		return nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil || !public(at.Addr()) {
		return errNotPublic
	}
	return nil
}

// reserved are the blocks that are not the public internet, beyond those that
// package netip knows (IANA special-purpose address registries), with the ones
// that carry an IPv4 address inside an IPv6 one.
var reserved = func() (list []netip.Prefix) {
	for _, text := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10"} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}()

func public(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, block := range reserved {
		if block.Contains(ip) {
			return false
		}
	}
	return true
}

// Run sends until ctx ends.
func (s *Sender) Run(ctx context.Context) error {
	defer s.http.CloseIdleConnections()
	var work errgroup.Group
	done := make(chan string, parallel) // endpoints whose turn is over
	busy := map[string]bool{}
	for ctx.Err() == nil {
		next, err := s.begin(ctx, busy, func(endpoint string) {
			work.Go(func() error {
				s.serve(ctx, endpoint)
				done <- endpoint // never blocks: it has room for all
				return nil
			})
		})
		wait := longestWait
		if err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "webhooks cannot be queued; it will be tried again", "err", err)
			wait = time.Second
		}
		if !next.IsZero() {
			wait = min(wait, max(next.Sub(s.db.Now()), 10*time.Millisecond))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-s.db.Hooked():
		case <-timer.C:
		case endpoint := <-done:
			delete(busy, endpoint)
		}
		timer.Stop()
	}
	return work.Wait()
}

// begin queues what happened and starts the endpoints that are due and idle.
func (s *Sender) begin(ctx context.Context, busy map[string]bool, start func(endpoint string)) (next time.Time, err error) {
	if err := s.db.QueueDeliveries(ctx); err != nil {
		return next, err
	}
	due, next, err := s.db.NextDeliveries(ctx)
	if err != nil {
		return next, err
	}
	for _, endpoint := range due {
		if busy[endpoint] {
			continue
		}
		if len(busy) == parallel {
			break // the first that is done brings us back here
		}
		busy[endpoint] = true
		start(endpoint)
	}
	return next, nil
}

// serve sends what is due to one endpoint until something fails or its turn is over.
func (s *Sender) serve(ctx context.Context, endpoint string) {
	for range turn {
		d, ok, err := s.db.DueDelivery(ctx, endpoint)
		if err == nil && ok {
			status, problem := s.send(ctx, d)
			if ctx.Err() != nil {
				return // stopped in the middle: it is sent again after the start
			}
			if err = s.db.RecordTry(ctx, d, status, problem); err == nil && problem != "" {
				return
			}
		}
		if err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "webhook delivery broke off", "endpoint", endpoint, "err", err)
			select { // the queue says that it is due still: do not spin
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
		if err != nil || !ok {
			return
		}
	}
}

// send makes one try. problem is empty when the endpoint took the event.
func (s *Sender) send(ctx context.Context, d store.Due) (status int, problem string) {
	body, err := workos.EventJSON(workos.Event{Object: "event", ID: d.Event.ID, Event: d.Event.Name, Data: d.Event.Data, CreatedAt: workos.At(d.Event.CreatedAt), Context: d.Event.Context})
	if err != nil {
		return 0, "the event cannot be encoded"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, strings.NewReader(string(body)))
	if err != nil {
		return 0, "the URL cannot be used"
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Berth-Webhooks/1")
	req.Header.Set(workos.SignatureHeader, workos.Sign(d.Secret, s.db.Now(), body))
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, describe(err)
	}
	defer resp.Body.Close()
	// Best effort: the status decides, whatever becomes of the body.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return resp.StatusCode, fmt.Sprintf("the answer was %d", resp.StatusCode)
	}
	return resp.StatusCode, ""
}

// describe says why there was no answer, without the URL, which may hold a
// secret of the application.
func describe(err error) string {
	if errors.Is(err, errNotPublic) {
		return "the address is not public, and this server is not on loopback"
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "no answer within 10 seconds"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return "the host name was not found"
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "the connection was refused"
	}
	return "the connection failed"
}
