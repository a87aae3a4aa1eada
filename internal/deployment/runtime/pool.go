package runtime

import (
	goruntime "runtime"
	"strconv"
	"strings"
)

// poolSize is how many prepared machines a program keeps once it is used: one
// takes a few milliseconds to prepare and about a megabyte.
const poolSize = 2

// made is a machine or why there is none.
type made struct {
	m   *machine
	err error
}

// machine returns one that is ready, and has the next one prepared. Without one,
// it takes whichever comes first: the one that it makes or one that is under way.
func (p *Program) machine(memory uintptr) (*machine, error) {
	if memory != QueryLimits.Memory {
		return p.newMachine(memory)
	}
	p.mu.Lock()
	if n := len(p.ready); n > 0 {
		m := p.ready[n-1]
		p.ready = p.ready[:n-1]
		p.refill()
		p.mu.Unlock()
		return m, nil
	}
	if p.filling == 0 {
		p.mu.Unlock()
		m, err := p.newMachine(memory)
		p.mu.Lock()
		p.refill() // only now: two at once would both take longer
		p.mu.Unlock()
		return m, err
	}
	first := make(chan made, 1)
	p.waiting = append(p.waiting, first)
	p.mu.Unlock()
	go func() { p.hand(p.newMachine(memory)) }()
	got := <-first
	return got.m, got.err
}

// refill has machines prepared where some are missing. p.mu is held.
func (p *Program) refill() {
	if !p.closed && p.filling == 0 && len(p.ready) < poolSize {
		p.filling++
		go p.fill()
	}
}

func (p *Program) fill() {
	for {
		more := p.hand(p.newMachine(QueryLimits.Memory))
		p.mu.Lock()
		if !more || p.closed || len(p.ready) >= poolSize {
			p.filling--
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
}

// hand gives a machine to the run that waits longest, or keeps it. It reports
// false where there was none to give: an error shows when a function runs.
func (p *Program) hand(m *machine, err error) bool {
	p.mu.Lock()
	switch {
	case len(p.waiting) > 0:
		p.waiting[0] <- made{m, err}
		p.waiting = p.waiting[1:]
		m = nil
	case err == nil && !p.closed && len(p.ready) < poolSize:
		p.ready = append(p.ready, m)
		m = nil
	}
	p.mu.Unlock()
	if m != nil {
		m.close()
	}
	return err == nil
}

// closers bounds how many machines are closed beside the runs. Freeing all that
// a context holds takes a fraction of a millisecond, for which no caller waits
// as long as the processors keep up.
var closers = make(chan struct{}, goruntime.GOMAXPROCS(0))

// retire closes a machine, beside the run when it can.
func (m *machine) retire() {
	select {
	case closers <- struct{}{}:
		go func() {
			m.close()
			<-closers
		}()
	default:
		m.close()
	}
}

// Rest lets go of the prepared machines; the next run prepares new ones.
func (p *Program) Rest() {
	p.mu.Lock()
	ready := p.ready
	p.ready = nil
	p.mu.Unlock()
	for _, m := range ready {
		m.close()
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// clip cuts a text to at most n bytes, at a character.
func clip(s string, n int) string { return strings.ToValidUTF8(s[:max(0, n)], "") }
