package mail

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

// Sender delivers one message. Errors of kind Unavailable may be tried again.
type Sender interface {
	Send(ctx context.Context, m identity.Message) error
}

// Outbox takes messages at once and delivers them in the background, so that
// how long an answer takes does not tell whether an address has an account, and
// a relay that puts mail off (RFC 5321 section 4.5.4) does not fail a sign-in.
// It is kept in memory: what is lost with the process is a code that its owner
// asks for again.
type Outbox struct {
	sender Sender
	log    *slog.Logger
	wait   func(ctx context.Context, d time.Duration) error
	queue  chan identity.Message
	closed chan struct{}
	once   sync.Once
}

// outboxSize is how many messages may wait; outboxSenders how many talk to the
// relay at once.
const (
	outboxSize    = 1000
	outboxSenders = 4
)

// outboxPauses lie between the attempts of one message. Their sum stays below
// the lifetime of a code (identity.MailCodeKind.Lifetime).
var outboxPauses = []time.Duration{time.Second, 5 * time.Second, 20 * time.Second, time.Minute, 2 * time.Minute}

// lastAttempt is how long what still waits may take when the server stops.
const lastAttempt = 5 * time.Second

// NewOutbox returns an outbox before sender; wait is replaced in tests, nil
// waits by the clock. Run delivers.
func NewOutbox(sender Sender, log *slog.Logger, wait func(context.Context, time.Duration) error) *Outbox {
	if wait == nil {
		wait = func(ctx context.Context, d time.Duration) error {
			t := time.NewTimer(d)
			defer t.Stop()
			select {
			case <-t.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return &Outbox{sender: sender, log: log, wait: wait, queue: make(chan identity.Message, outboxSize), closed: make(chan struct{})}
}

// Send takes a message. It fails when too many wait already, or when the
// outbox has ended.
func (o *Outbox) Send(_ context.Context, m identity.Message) error {
	select {
	case <-o.closed:
		return fault.New(fault.Unavailable, "The server is stopping; no mail is taken.").WithCode("mail_not_sent")
	default:
	}
	select {
	case o.queue <- m:
		return nil
	default:
		return fault.New(fault.Unavailable, "Too much mail is waiting to be sent.").WithFix("Try again in a minute.").WithCode("mail_not_sent")
	}
}

// Run delivers until ctx ends. What waits then is tried once more.
func (o *Outbox) Run(ctx context.Context) error {
	var senders sync.WaitGroup
	slots := make(chan struct{}, outboxSenders)
	places := make(chan struct{}, outboxSize) // bounds those that wait between attempts
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
		}
		select {
		case m := <-o.queue:
			senders.Go(func() { o.deliver(ctx, slots, m); <-places })
			continue
		case <-ctx.Done():
		}
		break
	}
	o.once.Do(func() { close(o.closed) })
	for {
		select {
		case m := <-o.queue:
			senders.Go(func() { o.deliver(ctx, slots, m) })
			continue
		default:
		}
		break
	}
	senders.Wait()
	return nil
}

// deliver tries a message until it is taken, refused for good, or too old. The
// log never holds what is in it, nor to whom it goes.
func (o *Outbox) deliver(ctx context.Context, slots chan struct{}, m identity.Message) {
	for attempt := 0; ; attempt++ {
		err := o.attempt(ctx, slots, m)
		switch {
		case err == nil:
			o.log.InfoContext(ctx, "mail sent", "kind", m.Kind, "attempts", attempt+1)
			return
		case !fault.Is(err, fault.Unavailable):
			o.log.ErrorContext(ctx, "mail refused", "kind", m.Kind, "reason", fault.From(err).Message)
			return
		case attempt == len(outboxPauses) || ctx.Err() != nil:
			o.log.ErrorContext(ctx, "mail given up", "kind", m.Kind, "attempts", attempt+1, "reason", fault.From(err).Message)
			return
		}
		o.log.WarnContext(ctx, "mail put off", "kind", m.Kind, "again_in", outboxPauses[attempt], "reason", fault.From(err).Message)
		_ = o.wait(ctx, outboxPauses[attempt]) // an end of ctx leaves one last attempt
	}
}

func (o *Outbox) attempt(ctx context.Context, slots chan struct{}, m identity.Message) error {
	slots <- struct{}{}
	defer func() { <-slots }()
	if ctx.Err() == nil {
		return o.sender.Send(context.WithoutCancel(ctx), m) // bounded by the sender's own deadline
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAttempt)
	defer cancel()
	return o.sender.Send(last, m)
}
