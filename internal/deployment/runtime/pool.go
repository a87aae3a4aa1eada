package runtime

import (
	"strconv"
	"strings"
)

// poolSize is how many prepared machines a program keeps once it is used: one
// takes a few milliseconds to prepare and about a megabyte.
const poolSize = 2

// machine returns one that is ready, and has the next one prepared.
func (p *Program) machine(memory uintptr) (*machine, error) {
	if memory != QueryLimits.Memory {
		return p.newMachine(memory)
	}
	p.mu.Lock()
	var m *machine
	if n := len(p.ready); n > 0 {
		m, p.ready = p.ready[n-1], p.ready[:n-1]
	}
	if !p.closed && p.filling == 0 && len(p.ready) < poolSize {
		p.filling++
		go p.fill()
	}
	p.mu.Unlock()
	if m != nil {
		return m, nil
	}
	return p.newMachine(memory)
}

func (p *Program) fill() {
	for {
		m, err := p.newMachine(QueryLimits.Memory)
		p.mu.Lock()
		if err != nil || p.closed || len(p.ready) >= poolSize {
			p.filling--
			p.mu.Unlock()
			if m != nil {
				m.close()
			}
			return // an error shows when a function runs
		}
		p.ready = append(p.ready, m)
		full := len(p.ready) >= poolSize
		if full {
			p.filling--
		}
		p.mu.Unlock()
		if full {
			return
		}
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
